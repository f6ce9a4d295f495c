"""Single steps of the implemented method cards, against what they must give: brute force, slopes, planted truth."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import pytest
from cards import (
    activeft,
    confident_learning,
    curriculum_pacing,
    density_based_pruning,
    dpp_instruction,
    fineweb_edu,
    icons,
    ifd,
    instructiongpt4,
    lava,
    logra,
    online_data_mixing,
    probcover,
    regmix,
    rejection_sampling_fine_tuning,
    rho_loss,
    self_instruct,
    star,
    variance_alignment_score,
)
from cards.clusters import k_means, whole_counts
from cards.features import COPIES, KINDS, Floats, Pool, make_pool, unit

POOL: Final = make_pool()
TRUTH: Final = POOL.truth


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def rank_area(values: Floats, of: np.ndarray) -> float:
    """Chance that a row of those has a higher value than one of the others."""
    return float((values[of][:, None] > values[~of][None]).mean())


def test_the_table_is_what_it_says() -> None:
    assert len(POOL) == sum(KINDS) + COPIES + 50 + 50 + 40
    np.testing.assert_allclose(np.linalg.norm(POOL.joint, axis=1), 1)
    copies = np.flatnonzero(TRUTH.plant == "copy")
    assert (POOL.joint[copies] * POOL.joint[TRUTH.original[copies]]).sum(axis=1).min() > 0.99
    assert set(TRUTH.plant[TRUTH.original[copies]]) == {"clean"}
    assert POOL.similarity[TRUTH.plant == "clean"].mean() > 0.6
    assert abs(POOL.similarity[TRUTH.plant == "mismatched"].mean()) < 0.1


def test_counts_follow_shares_and_sizes() -> None:
    counts = whole_counts(np.array([0.7, 0.2, 0.1]), np.array([5, 50, 50]), 40)
    assert counts.sum() == 40
    assert counts[0] == 5
    assert counts[1] == pytest.approx(2 * counts[2], abs=1)


def test_k_means_finds_the_kinds() -> None:
    clean = TRUTH.plant == "clean"
    cluster, _ = k_means(POOL.joint[clean], len(KINDS), rng())
    for number in range(cluster.max() + 1):
        kinds = TRUTH.kind[clean][cluster == number]
        assert np.bincount(kinds).max() > 0.5 * len(kinds)


def test_activeft_goes_down_its_own_slope() -> None:
    rows, points = unit(POOL.joint), unit(rng().normal(size=(5, 64)))
    slope = activeft.gradient(rows, points)
    for point, number in itertools.product(range(5), (0, 7, 63)):
        step = np.zeros_like(points)
        step[point, number] = 1e-6
        measured = (activeft.goal(rows, points + step) - activeft.goal(rows, points - step)) / 2e-6
        assert slope[point, number] == pytest.approx(measured, abs=1e-6)


def test_confident_learning_finds_the_wrong_labels_and_spares_the_right_ones() -> None:
    removed = np.isin(np.arange(len(POOL)), confident_learning.suspects(POOL, rng()))
    assert removed[TRUTH.plant == "wrong"].mean() > 0.9
    assert removed[TRUTH.plant == "clean"].mean() < 0.03


def test_confident_learning_does_not_ask_a_model_about_rows_that_it_has_seen() -> None:
    vectors, labels = rng().normal(size=(80, 64)), rng().integers(2, size=80)
    chance = confident_learning.out_of_sample(vectors, labels, 2, rng())
    assert chance[np.arange(80), labels].mean() < 0.65, "labels by chance cannot be told"


def test_curriculum_pacing_widens_by_a_factor_and_keeps_the_groups_shares() -> None:
    sizes = curriculum_pacing.stages(1000)
    assert sizes == [40, 76, 144, 274, 521, 990, 1000]
    order = curriculum_pacing.easy_first(POOL)
    assert sorted(order.tolist()) == list(range(len(POOL)))
    for prefix in (50, 200, 400):
        for source in np.unique(POOL.sources):
            share = (POOL.sources[order[:prefix]] == source).mean()
            assert share == pytest.approx((POOL.sources == source).mean(), abs=2 / prefix)


def test_density_based_pruning_solves_for_the_nearest_whole_counts() -> None:
    shares, sizes = np.array([0.62, 0.25, 0.1, 0.03]), np.array([4, 9, 3, 5])
    counts = density_based_pruning.counts(shares, sizes, 12)
    every = itertools.product(*(range(1, size + 1) for size in sizes))
    best = min(((np.array(x) - 12 * shares) ** 2).sum() for x in every if sum(x) == 12)
    assert counts.sum() == 12
    assert ((counts - 12 * shares) ** 2).sum() == pytest.approx(best)


def test_density_based_pruning_drops_copies_only() -> None:
    left = density_based_pruning.without_copies(POOL.images)
    assert len(set(TRUTH.original.tolist())) == len(left) == len(set(TRUTH.original[left].tolist()))


def test_density_based_pruning_gives_wide_clusters_more() -> None:
    clean = np.flatnonzero(TRUTH.plant == "clean")
    kinds = TRUTH.kind[clean]
    centres = unit(np.stack([POOL.images[clean][kinds == kind].mean(axis=0) for kind in range(len(KINDS))]))
    shares = density_based_pruning.complexity_shares(POOL.images[clean], kinds, centres)
    assert shares[1::2].min() > shares[0::2].max()


def test_density_based_pruning_keeps_the_least_typical_rows() -> None:
    chosen = density_based_pruning.select(POOL, 100, 1)
    clean = TRUTH.plant == "clean"
    typical = np.zeros(len(POOL))
    for kind in range(len(KINDS)):
        rows = np.flatnonzero((TRUTH.kind == kind) & clean)
        cosines = POOL.images[rows] @ unit(POOL.images[rows].mean(axis=0)[None])[0]
        typical[rows] = (cosines - cosines.mean()) / cosines.std()
    inside = np.isin(np.arange(len(POOL)), chosen)
    assert typical[clean & inside].mean() < typical[clean & ~inside].mean() - 0.5


def test_dpp_chooses_at_every_step_what_adds_most_volume() -> None:
    found = dpp_instruction.kernel(unit(POOL.joint[:60]), rng().uniform(0.5, 1.5, 60), 10)
    chosen = dpp_instruction.greedy(found, 8)
    for step in range(1, 8):
        volumes = [
            dpp_instruction.volume(found, [*chosen[:step], row]) for row in range(60) if row not in chosen[:step]
        ]
        assert dpp_instruction.volume(found, chosen[: step + 1]) == pytest.approx(max(volumes))


def test_fineweb_edu_asks_the_model_about_the_sample_only() -> None:
    asked: list[str] = []

    class Counted(Pool):
        def judge(self, text: str) -> int:
            asked.append(text)
            return super().judge(text)

    graded = fineweb_edu.grade(Counted(**vars(POOL)), rng())
    assert len(asked) == fineweb_edu.SAMPLE < len(POOL)
    assert graded.f1 > 0.8
    assert len(graded.grades) == len(POOL)


def test_icons_counts_a_vote_of_every_task() -> None:
    influence = icons.influences(POOL)
    assert influence.shape == (len(POOL), 3)
    for task, kind in enumerate((1, 2, 3)):
        own = influence[(TRUTH.kind == kind) & (TRUTH.plant == "clean") & ~TRUTH.general, task].mean()
        general = influence[TRUTH.general, task].mean()
        assert own > general > influence[TRUTH.kind == 0, task].mean(), "a specialist is better at its own task"
    chosen = icons.select(POOL, int(TRUTH.general.sum()), 0)
    assert TRUTH.general[chosen].mean() > 0.9, "but all tasks vote for general rows"


def test_icons_ranks_by_votes_before_means() -> None:
    influence = np.tile(np.arange(10.0)[:, None], 3)
    influence[0] = (8.5, 8.5, -1)  # two votes; row 7 has none, but the better mean
    assert icons.by_votes(influence, 2) == [9, 0]


def test_ifd_is_above_one_where_the_instruction_harms() -> None:
    ratio = ifd.difficulty(POOL)
    assert (ratio[TRUTH.help == "harm"] >= 1).mean() > 0.9
    assert (ratio[TRUTH.help != "harm"] >= 1).mean() < 0.03
    means = [ratio[TRUTH.help == name].mean() for name in ("all", "much", "little", "harm")]
    assert means == sorted(means)


def test_instructiongpt4_learns_that_mismatched_pairs_do_not_help() -> None:
    scores = instructiongpt4.learn(POOL, instructiongpt4.indicators(POOL), rng())
    means = {plant: scores[TRUTH.plant == plant].mean() for plant in ("clean", "mismatched", "noise")}
    assert means["clean"] > 0
    assert max(means["mismatched"], means["noise"]) < 0


def test_lava_moves_all_weight_and_values_bad_rows_high() -> None:
    cost = lava.ground_cost(POOL)
    first = lava.row_potentials(cost)
    soft = lava.ENTROPY * cost.mean()
    weights = np.exp((first[:, None] - cost) / soft)
    second = -soft * np.log(weights.mean(axis=0))
    plan = weights * np.exp(second / soft) / cost.size
    np.testing.assert_allclose(plan.sum(axis=1), 1 / len(POOL), rtol=0.01)
    assert rank_area(lava.values(POOL), np.isin(TRUTH.plant, ("noise", "mismatched"))) > 0.8


def test_lava_adds_the_distance_of_labels() -> None:
    cost, plain = lava.ground_cost(POOL), ((POOL.joint[:, None] - POOL.reference.joint[None]) ** 2).sum(axis=2)
    same = POOL.sources[:, None] == POOL.reference.sources[None]
    assert (cost - plain)[same].max() < (cost - plain)[~same].min()


def test_logra_is_relative_so_that_long_gradients_do_not_win() -> None:
    targets = np.vstack([target.gradients for target in POOL.targets])
    relative = logra.relative_influence(POOL.gradients, targets)
    fisher = sum(np.outer(row, row) for row in POOL.gradients) / len(POOL)
    damped = fisher + 0.1 * np.trace(fisher) / 64 * np.eye(64)
    lengths = np.array([np.sqrt(row @ np.linalg.inv(damped) @ row) for row in POOL.gradients])
    plain = POOL.gradients @ np.linalg.inv(damped) @ targets.T
    np.testing.assert_allclose(relative * lengths[:, None], plain, rtol=1e-6, atol=1e-9)
    noise = TRUTH.plant == "noise"
    assert noise[np.argsort(-plain.mean(axis=1))[:20]].mean() > 0.9
    assert noise[np.argsort(-relative.mean(axis=1))[:20]].mean() == 0
    np.testing.assert_allclose(
        logra.relative_influence(POOL.gradients * 1000, targets), relative / 1000, err_msg="damping follows the trace"
    )


def test_online_data_mixing_stays_near_equal_shares_by_the_published_rule() -> None:
    rewards = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(online_data_mixing.shares(rewards, 1), 0.25)
    late = online_data_mixing.shares(rewards, 2000)
    assert late.sum() == pytest.approx(1)
    assert list(late) == sorted(late)
    assert late.min() >= online_data_mixing.exploration(4, 2000)
    ours = online_data_mixing.shares_of_attempts(rewards)
    assert ours.sum() == pytest.approx(1)
    assert ours.min() >= 1 / 8
    np.testing.assert_allclose(online_data_mixing.shares_of_attempts(np.ones(4)), 0.25)
    rare, common = online_data_mixing.reward(np.zeros(2), np.ones(2), np.array([0.1, 0.9]))
    assert rare == pytest.approx(9 * common), "what is seen seldom counts more"


def test_probcover_takes_the_largest_radius_with_pure_balls() -> None:
    vectors = unit(POOL.joint - POOL.joint.mean(axis=0))
    distance = np.sqrt(np.maximum(2 - 2 * vectors @ vectors.T, 0))
    delta = probcover.radius(vectors, distance, rng())
    labels, _ = k_means(vectors, probcover.CLUSTERS, rng())
    other = labels[:, None] != labels

    def purity(radius: float) -> float:
        return 1 - float(((distance <= radius) & other).any(axis=1).mean())

    assert purity(delta) >= probcover.PURITY > purity(1.02 * delta)


def test_regmix_tries_flat_and_extreme_mixtures_that_the_pool_can_give() -> None:
    _, sizes = np.unique(POOL.sources, return_counts=True)
    drawn = regmix.mixtures(sizes, 500, 60, rng())
    assert drawn.shape == (500, len(sizes))
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    assert (drawn * 60 <= sizes).all()
    assert drawn.max(axis=1).min() < 0.4
    assert drawn.max(axis=1).max() > 0.9


def test_rejection_sampling_reads_equations() -> None:
    of = rejection_sampling_fine_tuning
    assert of.equations("So 3 * (4+1) = 15. 15 - 2=13, that is 13.") == ("3*(4+1)=15", "15-2=13")
    assert of.value("2*(3+4)-6/3") == 12
    assert of.sound("7/2 = 3.5 and 3.5*2=7")
    assert not of.sound("3*4 = 13. 13+7 = 20")
    assert not of.sound("1/0 = 5")
    assert of.edits("kitten", "sitting") == 3


def test_rho_loss_excludes_what_the_hold_out_model_has_seen() -> None:
    rho = rho_loss.reducible(POOL)
    assert rho[TRUTH.trait == "learnable"].min() > rho[TRUTH.trait != "learnable"].max()
    chosen = rho_loss.select(POOL, 12, 0)
    assert set(chosen).isdisjoint(POOL.holdout.tolist())


def test_self_instruct_measures_likeness_by_common_order() -> None:
    words = ["name", "three", "uses", "of", "an", "old", "newspaper"]
    assert self_instruct.rouge_l(words, words) == 1
    assert self_instruct.rouge_l(words, words[::-1]) == pytest.approx(1 / 7)
    assert self_instruct.fit("Name three rivers", ["Bake a cake"])
    assert not self_instruct.fit("Describe the Images", [])
    assert not self_instruct.fit("Too short", [])


def test_star_reads_answers_in_any_dress() -> None:
    assert star.matches("It is long. Answer: 12 CM.", "12")
    assert not star.matches("Answer: 12", "21")
    assert not star.matches("12", "12"), "no mark"


def test_variance_alignment_score_is_the_mean_squared_cosine_to_targets() -> None:
    targets = POOL.targets[0].images
    scores = variance_alignment_score.alignment(POOL.images, targets)
    np.testing.assert_allclose(scores, ((POOL.images @ targets.T) ** 2).mean(axis=1))


def test_variance_alignment_score_without_targets_goes_along_the_common_directions() -> None:
    chosen = variance_alignment_score.select_without_targets(POOL, 80)
    assert len(set(chosen)) == 80
    common, rare = (np.isin(TRUTH.kind, kinds) for kinds in ((0, 1, 2), (5, 6, 7)))
    assert common[chosen].mean() > common.mean() + 0.2
    assert rare[chosen].mean() < rare.mean() - 0.05
