"""Each selection method against a made pool in which the right answer is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation_plugins.agents.programs.baseline.plan import (
    EVERY,
    FIRST_CHOICE,
    FIRST_OF_PAIRS,
    METHODS,
    methods_for,
    spread,
    steps,
)
from curation_plugins.agents.programs.baseline.selection import (
    combined,
    k_center,
    loss_band,
    loss_top,
    near_duplicates,
    pictures,
    random_rows,
    similarity_top,
    source_balanced,
    tables,
)
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import run
from made_pool import chosen, make_pool, plain_rows


def checkerboard(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture whose cells are far from its mean: a little noise flips no bit of its hash."""
    rng = np.random.default_rng(seed)
    return np.where(rng.permutation(64).reshape(8, 8) < 32, 40, 210).astype(np.uint8)


def test_random_draws_distinct_rows_that_depend_on_the_seed(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(50))
    first = run(random_rows.METHOD, pool, 20, 1, {}).tolist()
    assert len(set(first)) == 20
    assert first == run(random_rows.METHOD, pool, 20, 1, {}).tolist()
    assert first != run(random_rows.METHOD, pool, 20, 2, {}).tolist()


def test_random_takes_the_whole_of_a_pool_smaller_than_the_count(tmp_path: Path) -> None:
    assert chosen(random_rows.METHOD, make_pool(tmp_path, plain_rows(5)), 20) == [0, 1, 2, 3, 4]


def test_source_balanced_gives_what_a_small_source_lacks_to_the_others(tmp_path: Path) -> None:
    sources = ["big"] * 50 + ["middle"] * 30 + ["small"] * 4
    pool = make_pool(tmp_path, [{"source": source} for source in sources])
    taken = Counter(sources[row] for row in chosen(source_balanced.METHOD, pool, 24))
    assert taken == {"small": 4, "middle": 10, "big": 10}


def test_similarity_top_takes_the_best_pairs_and_no_row_without_a_score(tmp_path: Path) -> None:
    scores = [0.9, 0.1, None, 0.8, 0.2, None, 0.7, 0.3]
    pool = make_pool(tmp_path, plain_rows(8), {"image_text_similarity": scores})
    assert chosen(similarity_top.METHOD, pool, 3) == [0, 3, 6]
    assert chosen(similarity_top.METHOD, pool, 8) == [0, 1, 3, 4, 6, 7]


def test_similarity_fraction_is_a_share_of_the_scored_rows(tmp_path: Path) -> None:
    scores = [place / 10 for place in range(10)] + [None] * 10
    pool = make_pool(tmp_path, plain_rows(20), {"image_text_similarity": scores})
    kept = similarity_top.best(pool, np.arange(20), 0.5, 2, np.random.default_rng(0))
    assert sorted(kept.tolist()) == [5, 6, 7, 8, 9]


def test_loss_top_takes_the_hardest(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(5), {"base_loss": [0.1, 3.0, 0.2, 2.0, None]})
    assert chosen(loss_top.METHOD, pool, 2, cut=1.0) == [1, 3]
    assert chosen(loss_top.METHOD, pool, 2) == [2, 3]  # the highest is above the 95th percentile


def test_loss_band_leaves_out_both_tails(tmp_path: Path) -> None:
    losses = [float(place) for place in range(100)]
    pool = make_pool(tmp_path, plain_rows(100), {"base_loss": losses})
    taken = chosen(loss_band.METHOD, pool, 100, low=0.25, high=0.75)
    assert taken == list(range(25, 75))


def test_near_duplicates_leaves_one_of_each_group(tmp_path: Path) -> None:
    noise = np.random.default_rng(9)
    rows = []
    for group in range(4):
        for _ in range(5):
            wiggle = noise.integers(-20, 20, (8, 8))
            rows.append({"text": f"group {group}", "image": (checkerboard(group) + wiggle).astype(np.uint8)})
    taken = chosen(near_duplicates.METHOD, make_pool(tmp_path, rows), 20)
    assert taken == [0, 5, 10, 15]


def test_one_picture_with_two_answers_is_no_duplicate(tmp_path: Path) -> None:
    picture = checkerboard(0)
    rows = [{"text": "yes", "image": picture}, {"text": "no", "image": picture}]
    assert chosen(near_duplicates.METHOD, make_pool(tmp_path, rows), 20) == [0, 1]


def test_one_text_under_two_pictures_is_no_duplicate(tmp_path: Path) -> None:
    rows = [{"text": "yes", "image": checkerboard(0)}, {"text": "yes", "image": checkerboard(1)}]
    assert chosen(near_duplicates.METHOD, make_pool(tmp_path, rows), 20) == [0, 1]


def test_text_only_copies_are_found_without_pictures(tmp_path: Path) -> None:
    rows = [{"text": "Same, words!"}, {"text": "same words"}, {"text": "other words"}]
    assert chosen(near_duplicates.METHOD, make_pool(tmp_path, rows), 20) == [0, 2]


@pytest.mark.parametrize("hashes", [["00ff", "00fe", "ff00"], [255, 254, -256], ["ff", "fe", "ff00"]])
def test_a_pool_too_large_to_read_its_pictures_has_its_own_hash_used(
    tmp_path: Path, hashes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "READABLE", 2)
    rows = [{"text": "same", "image": checkerboard(place)} for place in range(3)]
    pool = make_pool(tmp_path, rows, {"image_hash": hashes})
    assert near_duplicates.keep(pool, np.arange(3), 1).tolist() == [0, 2]


def test_k_center_takes_one_of_each_cluster_before_a_second(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(6, 16)) * 10
    points = np.concatenate([centre + rng.normal(size=(20, 16)) * 0.1 for centre in centres])
    pool = make_pool(tmp_path, plain_rows(120), {"embedding": points.tolist()})
    clusters = [row // 20 for row in chosen(k_center.METHOD, pool, 6)]
    assert sorted(clusters) == [0, 1, 2, 3, 4, 5]


def test_k_center_covers_pictures_and_words_without_an_embedding(tmp_path: Path) -> None:
    rows = [{"text": f"kind {n % 3}", "image": checkerboard(n % 3)} for n in range(30)]
    taken = chosen(k_center.METHOD, make_pool(tmp_path, rows), 3)
    assert sorted(row % 3 for row in taken) == [0, 1, 2]


def test_k_center_never_takes_a_row_twice_even_among_copies() -> None:
    points = np.zeros((5, 2))
    assert sorted(k_center.greedy(points, 5, 2).tolist()) == [0, 1, 2, 3, 4]


def test_combined_keeps_only_what_passes_every_filter(tmp_path: Path) -> None:
    rows = [{"text": f"row {place}", "image": checkerboard(place)} for place in range(12)]
    rows[1] = rows[0]
    similarity = [0.9, 0.9] + [0.8] * 4 + [0.1] * 6
    loss = [1.0, 1.0, 1.1, 1.2, 9.0, 1.3] + [1.0] * 6
    pool = make_pool(tmp_path, rows, {"image_text_similarity": similarity, "base_loss": loss})
    taken = chosen(combined.METHOD, pool, 5, fraction=0.45, bits=2, low=0.0, high=0.8)
    assert taken == [0, 2, 3, 5]  # 1 copies 0, 4 is too hard, the others do not fit


def test_combined_compares_losses_among_rows_that_ask_the_same(tmp_path: Path) -> None:
    easy, hard, rare = combined.ALIKE, combined.ALIKE, 4
    questions = ["easy"] * easy + ["hard"] * hard + [f"rare {n}" for n in range(rare)]
    loss = [*np.linspace(0, 1, easy), *np.linspace(5, 6, hard), *np.linspace(2, 3, rare)]
    rows = [{"text": f"row {n}", "question": question} for n, question in enumerate(questions)]
    columns = {"image_text_similarity": [0.5] * len(rows), "base_loss": loss}
    pool = make_pool(tmp_path, rows, columns)
    taken = chosen(combined.METHOD, pool, len(rows), fraction=1.0, low=0.0, high=0.5)
    assert Counter(questions[row].split()[0] for row in taken) == {"easy": 10, "hard": 10, "rare": 2}


def test_a_table_in_another_order_is_read_by_its_row_column(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(3), {"row": [2, 0, 1], "base_loss": [2.0, 0.0, 1.0]})
    assert pool.scalar("loss").tolist() == [0.0, 1.0, 2.0]


def test_a_table_of_another_length_is_not_taken_for_the_pool_s_own(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(3), {"base_loss": [2.0, 0.0]})
    assert not pool.has("loss")


def test_signals_are_read_from_their_folder_in_every_form(tmp_path: Path) -> None:
    make_pool(tmp_path, plain_rows(3))
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / "signals.csv").write_text(
        "row,source,image_hash,similarity,answer_loss\n"
        "0,a,0000000000000010,0.5,1.5\n1,b,,,2.5\n2,b,0000000000000011,0.25,3.5\n"
    )
    np.save(tmp_path / "signals" / "embeddings.npy", np.eye(3, dtype=np.float16))
    (tmp_path / "signals" / "README.md").write_text("not a table\n")
    pool = Pool(tmp_path)
    assert pool.scalar("loss").tolist() == [1.5, 2.5, 3.5]
    np.testing.assert_array_equal(pool.scalar("similarity"), [0.5, np.nan, 0.25])
    assert pool.sources.tolist() == ["a", "b", "b"]
    embedding, image_hash = pool.column("embedding"), pool.column("image_hash")
    assert embedding is not None
    assert embedding.shape == (3, 3)
    assert image_hash is not None
    assert image_hash.tolist() == ["0000000000000010", "", "0000000000000011"]


def test_rows_that_are_no_dialogues_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    rows = [{"row": n, "source": "a", "x": [float(n % 3), 0.5], "y": 0, "loss": n / 10} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({**row, "loss": 0}) + "\n" for row in rows))
    assert chosen(near_duplicates.METHOD, Pool(tmp_path), 6) == [0, 1, 2]
    assert {row % 3 for row in chosen(k_center.METHOD, Pool(tmp_path), 3)} == {0, 1, 2}
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert chosen(loss_top.METHOD, Pool(tmp_path), 2, cut=1.0) == [4, 5]


def test_an_archive_written_is_read_back(tmp_path: Path) -> None:
    values = tables.from_values([0.5, None, 1.5])
    tables.write_archive(tmp_path / "signals.npz", {"loss": values})
    back = tables.read_columns(tmp_path)["loss"]
    np.testing.assert_array_equal(back, [0.5, np.nan, 1.5])


def test_a_row_without_image_has_the_empty_hash(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, [{"text": "words"}, {"image": checkerboard(0)}])
    bits = pictures.hashes(pool)
    assert not bits[0].any()
    assert bits[1].sum() == 32


def test_the_plan_has_every_method_once_before_any_second_parameters() -> None:
    plan = list(steps(METHODS, len(METHODS), 7))
    assert [step.method.name for step in plan[: len(METHODS)]] == [m.name for m in METHODS]
    assert all(step.seed == 7 for step in plan[: len(METHODS)])
    tried = {(step.method.name, str(dict(step.parameters))) for step in plan}
    assert len(tried) == len(plan) == sum(len(method.settings) for method in METHODS)
    assert [step.number for step in plan] == list(range(1, len(plan) + 1))


@pytest.mark.parametrize("iterations", range(1, len(METHODS)))
def test_few_iterations_still_get_the_combined_method_and_the_control_first(
    iterations: int,
) -> None:
    names = [method.name for method in spread(METHODS, iterations)]
    assert len(names) == iterations
    assert names[-1] == "combined"
    assert names[0] == ("random" if iterations > 1 else "combined")
    plan = list(steps(METHODS, iterations, 0))
    assert {step.method.name for step in plan[: len(METHODS)]} == {m.name for m in METHODS}


def test_the_docs_tell_every_method_its_source_and_the_order_of_choice() -> None:
    text = (Path(__file__).parents[2] / "docs" / "baselines.md").read_text()
    places = []
    for method in EVERY:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{method.name}` |"))
        places.append(text.index(row))
        for paper in re.findall(r"arXiv:\d+\.\d+", method.citation):
            assert paper in row
        for parameter, value in method.settings[0].items():
            assert f"`{parameter}` {value:g}" in row
        assert row.count("| **yes** |") == method.target
        assert method.differs in row
    assert places == sorted(places)
    told = " ".join(text.split())
    assert ", ".join(f"`{name}`" for name in FIRST_CHOICE) in told
    assert ", ".join(f"`{name}`" for name in FIRST_OF_PAIRS) in told
    eight = [method.name for method in spread(methods_for(True), 8, FIRST_OF_PAIRS)]
    assert f"eight iterations are: {', '.join(eight)}" in told
    four = [method.name for method in spread(METHODS, 4)]
    assert f"four iterations are: {', '.join(four)}" in told
