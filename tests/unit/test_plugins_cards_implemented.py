"""Twenty method cards, drawn at random, are implemented from their words alone in ``tests/cards``; they do what the
method must do on a table with planted rows (``cards.features``)."""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from cards import activeft, autodata, dpp_instruction, rejection_sampling_fine_tuning, self_instruct, star
from cards.features import KINDS, TASKS, Ints, make_pool, unit
from cards.models import NEW_TASKS, Calculator, Reasoner, TaskWriter, Team

from curation_plugins.methods.library import MethodLibrary

FOLDER: Final = Path(__file__).parents[1] / "cards"
DRAWN_FROM: Final = (FOLDER / "drawn_from.txt").read_text(encoding="utf-8").split()
"""The cards there were on the day of the draw; later ones do not change it."""
DRAWN: Final = random.Random(2606).sample(sorted(DRAWN_FROM), 20)
WRITING: Final = ("autodata", "rejection-sampling-fine-tuning", "self-instruct", "star")
CHOOSING: Final = sorted(set(DRAWN) - set(WRITING))
FIXED: Final = ("dpp-instruction", "icons", "ifd", "logra", "variance-alignment-score")
"""Nothing in them is random."""

COUNT, SEED = 100, 3
POOL: Final = make_pool()
TRUTH: Final = POOL.truth


def module(card_id: str) -> Any:
    return importlib.import_module(f"cards.{card_id.replace('-', '_')}")


# -- the draw ------------------------------------------------------------------------------------------


def test_cards_of_the_draw_still_exist() -> None:
    assert set(DRAWN_FROM) <= set(MethodLibrary().cards)
    assert len(set(DRAWN_FROM)) == len(DRAWN_FROM) >= 60


@pytest.mark.parametrize("card_id", DRAWN)
def test_a_drawn_card_is_implemented_step_by_step(card_id: str) -> None:
    card = MethodLibrary().cards[card_id]
    source = (FOLDER / f"{card_id.replace('-', '_')}.py").read_text(encoding="utf-8")
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert ("rewrite" if card_id in WRITING else "select") in functions
    assert {step.id for step in card.procedure} == set(re.findall(r"\bs[1-9]\d?\b", source))


# -- choosing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card_id", CHOOSING)
def test_a_method_chooses_distinct_rows_and_the_same_again(card_id: str) -> None:
    select = module(card_id).select
    for count in (40, COUNT):
        rows = select(POOL, count, SEED)
        assert len(rows) == len(set(rows)) == count
        assert all(type(row) is int and 0 <= row < len(POOL) for row in rows)
    assert select(POOL, COUNT, SEED) == rows
    assert (select(POOL, COUNT, SEED + 1) == rows) == (card_id in FIXED)


@pytest.mark.parametrize("card_id", CHOOSING)
def test_a_method_reads_nothing_that_only_tests_know(card_id: str) -> None:
    assert "truth" not in (FOLDER / f"{card_id.replace('-', '_')}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("card_id", CHOOSING)
def test_a_method_does_what_it_is_for(card_id: str) -> None:
    for seed in range(SEED, SEED + 3):
        AIMS[card_id](np.array(module(card_id).select(POOL, COUNT, seed)))


@pytest.mark.parametrize("card_id", CHOOSING)
def test_random_rows_do_not_do_it(card_id: str) -> None:
    for seed in range(5):
        rows = np.random.default_rng(seed).choice(len(POOL), COUNT, replace=False)
        with pytest.raises(AssertionError):
            AIMS[card_id](rows)


def share(chosen: Any) -> float:
    return float(np.mean(chosen))


def bad(rows: Ints) -> float:
    return share(TRUTH.bad()[rows])


def like_targets(rows: Ints) -> float:
    return share(np.isin(TRUTH.kind[rows], TASKS))


def crowded(rows: Ints) -> float:
    """Mean cosine of a row to the nearest other of the selection."""
    vectors = unit(POOL.joint - POOL.joint.mean(axis=0))[rows]
    cosines = vectors @ vectors.T - 2 * np.eye(len(rows))
    return float(cosines.max(axis=1).mean())


def twins(rows: Ints) -> int:
    """Rows too many of those that are the same thing."""
    return len(rows) - len(set(TRUTH.original[rows].tolist()))


def aim_activeft(rows: Ints) -> None:
    vectors = unit(POOL.joint - POOL.joint.mean(axis=0))
    drawn = [np.random.default_rng(seed).choice(len(POOL), len(rows), replace=False) for seed in range(20, 30)]
    goals = [activeft.goal(vectors, vectors[other]) for other in drawn]
    assert activeft.goal(vectors, vectors[rows]) < np.mean(goals) - 0.5
    assert crowded(rows) < 0.70, "random rows are nearer to each other"


def aim_confident_learning(rows: Ints) -> None:
    assert share(TRUTH.plant[rows] == "wrong") <= 0.01


def aim_curriculum_pacing(rows: Ints) -> None:
    tenth = len(rows) // 10
    difficulty = POOL.loss_of_random_attempt
    assert difficulty[rows[:tenth]].max() < np.quantile(difficulty, 0.3)
    assert difficulty[rows[:tenth]].mean() < 0.5 * difficulty[rows[-tenth:]].mean()
    for half in (rows[: len(rows) // 2], rows):
        shares = [share(POOL.sources[half] == source) for source in np.unique(POOL.sources)]
        natural = [share(POOL.sources == source) for source in np.unique(POOL.sources)]
        assert np.abs(np.subtract(shares, natural)).max() < 0.12


def aim_density_based_pruning(rows: Ints) -> None:
    assert twins(rows) == 0
    assert bad(rows) < 0.1
    wide = TRUTH.kind % 2 == 1
    plain = np.isin(TRUTH.plant, ("clean", "wrong"))
    assert share(wide[rows]) > share(wide[plain])


def aim_dpp_instruction(rows: Ints) -> None:
    found = dpp_instruction.kernel(unit(POOL.joint), np.ones(len(POOL)), len(rows))
    drawn = [np.random.default_rng(seed).choice(len(POOL), len(rows), replace=False) for seed in range(20, 30)]
    volumes = [dpp_instruction.volume(found, other.tolist()) for other in drawn]
    assert dpp_instruction.volume(found, rows.tolist()) > max(volumes) + 10
    assert twins(rows) <= 1


def aim_fineweb_edu(rows: Ints) -> None:
    grades = [POOL.judge(POOL.answers[row]) for row in rows]
    assert share(np.array(grades) >= 3) > 0.9


def aim_icons(rows: Ints) -> None:
    general = np.flatnonzero(TRUTH.general)
    assert set(general.tolist()) <= set(rows[:70].tolist())
    assert share(TRUTH.plant[rows] == "wrong") == 0


def aim_ifd(rows: Ints) -> None:
    assert share(TRUTH.help[rows] == "little") > 0.9
    assert bad(rows) < 0.05


def aim_instructiongpt4(rows: Ints) -> None:
    assert POOL.train(rows) > 0.78
    assert share(TRUTH.plant[rows] == "noise") <= 0.01


def aim_lava(rows: Ints) -> None:
    assert share(np.isin(TRUTH.plant[rows], ("noise", "mismatched"))) < 0.08
    assert len(set(TRUTH.kind[rows].tolist())) >= 7


def aim_logra(rows: Ints) -> None:
    aligned = TRUTH.general | np.isin(TRUTH.kind, TASKS)
    assert share(aligned[rows]) > 0.8
    assert share(TRUTH.plant[rows] == "noise") < 0.03
    assert share(TRUTH.plant[rows] == "wrong") == 0


def aim_online_data_mixing(rows: Ints) -> None:
    names = np.unique(POOL.sources)
    hard = [float(POOL.loss[POOL.sources == source].mean()) for source in names]
    counts = [int((POOL.sources[rows] == source).sum()) for source in names]
    assert [names[i] for i in np.argsort(hard)] == [names[i] for i in np.argsort(counts, kind="stable")]
    assert min(counts) >= len(rows) // (2 * len(names))
    assert max(counts) > 1.4 * len(rows) / len(names)


def aim_probcover(rows: Ints) -> None:
    assert share(TRUTH.plant[rows[:40]] == "noise") == 0, "few rows are near to noise"
    assert len(set(TRUTH.kind[rows[:40]].tolist())) >= len(KINDS) - 1
    assert twins(rows) == 0


def aim_regmix(rows: Ints) -> None:
    assert POOL.train(rows) > 0.8
    assert share(np.isin(POOL.sources[rows], ("amber", "stone", "maple"))) > 0.8


def aim_rho_loss(rows: Ints) -> None:
    assert share(TRUTH.trait[rows] == "learnable") > 0.9
    assert bad(rows) == 0
    assert set(rows.tolist()).isdisjoint(POOL.holdout.tolist())


def aim_variance_alignment_score(rows: Ints) -> None:
    assert like_targets(rows) > 0.95
    assert share(np.isin(TRUTH.plant[rows], ("noise", "mismatched"))) == 0


AIMS: Final[dict[str, Callable[[Ints], None]]] = {
    card_id: globals()[f"aim_{card_id.replace('-', '_')}"] for card_id in CHOOSING
}


# -- writing -------------------------------------------------------------------------------------------


def sums(*firsts: int) -> list[dict[str, str]]:
    """Questions of arithmetic with a solution and the answer."""
    return [
        {
            "question": f"What is {a} times 4 plus 7?",
            "solution": f"{a}*4 = {a * 4}. {a * 4}+7 = {a * 4 + 7}. So {a * 4 + 7}",
            "answer": str(a * 4 + 7),
        }
        for a in firsts
    ]


def test_rejection_sampling_adds_right_solutions_by_other_ways() -> None:
    records = sums(3, 5, 60)
    made = rejection_sampling_fine_tuning.rewrite(records, Calculator(), 100, SEED)
    assert made == rejection_sampling_fine_tuning.rewrite(records, Calculator(), 100, SEED)
    assert made[:3] == records, "originals first"
    assert [record["question"] for record in made[3:]] == [records[n]["question"] for n in (0, 1, 0, 1)], "in turn"
    for number in (0, 1):
        ways = [record["solution"] for record in made if record["question"] == records[number]["question"]]
        lists = {rejection_sampling_fine_tuning.equations(way) for way in ways}
        assert len(lists) == len(ways) == 3, "the original's list of equations, and two more"
        assert all(rejection_sampling_fine_tuning.sound(way) for way in ways)
        assert not any("13 = " in way or way.endswith(" 5") for way in ways)
    assert rejection_sampling_fine_tuning.rewrite(records, Calculator(), 4, SEED) == made[:4]


def test_star_keeps_reasons_that_end_in_the_right_answer_and_hides_the_hint() -> None:
    records = [{"question": f"How many are in heap {n}?", "answer": f"{n} pieces"} for n in range(7)]
    questions = [record["question"] for record in records]
    model = Reasoner(
        known={questions[n]: str(n) for n in (0, 1)},
        lost=frozenset({questions[5]}),
        gossips=frozenset({questions[6]}),
    )
    made = star.rewrite(records, model, 10, SEED)
    assert [record["question"] for record in made] == questions[:5]
    assert all(star.matches(record["answer"], f"{n}") for n, record in enumerate(made))
    assert "hint" not in str(made).casefold()
    assert "One looks at each part" in made[0]["answer"]
    hinted = [question for question in model.asked if "Hint" in question]
    assert [question.split(" (")[0] for question in hinted] == questions[2:]
    fewer = star.rewrite(records, model, 3, SEED)
    assert len(fewer) == 3
    assert fewer == star.rewrite(records, model, 3, SEED)


SEEDS: Final = [
    {"instruction": f"{verb} {thing}", "input": "x", "output": "y", "classification": kind}
    for verb, kind in (("Say if it is true:", "yes"), ("Tell me all about", "no"))
    for thing in ("snow in May", "old clocks", "bees at night", "the tallest tree", "rain on Monday")
]


def test_self_instruct_grows_a_pool_of_unlike_tasks() -> None:
    model = TaskWriter()
    made = self_instruct.rewrite(SEEDS, model, 8, SEED)
    assert len(made) == 8
    assert made == self_instruct.rewrite(SEEDS, TaskWriter(), 8, SEED)
    endless = self_instruct.rewrite(SEEDS, model, 1000, SEED)
    tasks = list(dict.fromkeys(record["instruction"] for record in endless))
    assert len(tasks) == len(NEW_TASKS), "of all that are alike one, none that are spoiled; then the rounds are empty"
    words = [self_instruct.plain(task) for task in [*tasks, *(seed["instruction"] for seed in SEEDS)]]
    likeness = [
        self_instruct.rouge_l(one, two) for n, one in enumerate(words[: len(tasks)]) for two in words[n + 1 :]
    ]
    assert max(likeness) < 0.7
    assert not any("picture" in task or task.startswith("-") for task in tasks)
    assert all(record["input"] != record["output"] for record in endless)
    assert all(record["input"] != "Well." for record in endless), "one input, two outputs"
    assert {"outputs first", "input first"} <= set(model.roles)
    own = {seed["instruction"] for seed in SEEDS}
    for prompt, made_before in ((model.shown[0], 0), (model.shown[-1], 2)):
        listed = re.findall(r"^\d+\. (.+)$", prompt, flags=re.MULTILINE)
        assert len(listed) == 8
        assert len(set(listed) - own) == made_before


def test_autodata_keeps_what_only_the_strong_solver_manages() -> None:
    kinds = ("level 1", "level 2", "level 3", "leaky level 2", "heavy level 2", "level 2 again")
    records = [{"document": document} for document in kinds]
    model = Team()
    made = autodata.rewrite(records, model, 10, SEED)
    assert [item["document"] for item in made] == ["level 1", "level 2", "level 2 again"]
    assert made == autodata.rewrite(records, Team(), 10, SEED)
    for item in made:
        assert item["solvers"] == {"weak": pytest.approx(2 / 7), "strong": 1.0}, "computed from weights"
        assert "level 2" in item["context"], "the one of level 1 was written anew"
    for solver in ("weak", "strong"):
        assert not any("Document" in prompt for role, prompt in model.calls if role == solver)
    assert not any("level 1" in prompt for role, prompt in model.calls if role == "strong"), "too easy: not asked"
    tries = [prompt for role, prompt in model.calls if role == "challenger" and "Document: level 3" in prompt]
    assert len(tries) == autodata.ROUNDS, "then it is given up"
    assert len(autodata.rewrite(records, Team(), 2, SEED)) == 2
