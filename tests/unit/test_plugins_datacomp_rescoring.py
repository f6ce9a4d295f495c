"""Items of evaluation sets are the same again when they are scored from what the model said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datacomp_sets as made
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult, Split
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluate import Evaluator
from curation_plugins.tasks.datacomp.evaluation import metrics
from curation_plugins.tasks.datacomp.evaluation.files import open_set
from curation_plugins.tasks.datacomp.evaluation.halves import half
from curation_plugins.tasks.datacomp.evaluation.outcome import ClassKey
from curation_plugins.tasks.datacomp.evaluation.rescoring import rescore
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from datacomp_scoring import CIFAR, FLICKR, KINDS, WINO, one_of_each, run, settings_of

F1, TOP5 = "wilds/iwildcam", "fairness/dollar_street"
EVERY = (*KINDS, F1, TOP5)
SETTINGS = Evaluation().of(EVERY)
HALVES: tuple[Split, Split] = ("public", "sealed")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One set of each kind; of the set with the macro-average, an image that cannot be read."""
    folder = one_of_each(tmp_path_factory.mktemp("rescoring"))
    entry = made.set_of(F1)
    samples = made.samples_of(entry, 120)
    samples[7]["png"] = b"\x89PNG broken"
    made.write_set(layout.evaluation(folder), entry, samples)
    made.write_set(layout.evaluation(folder), made.set_of(TOP5), made.samples_of(made.set_of(TOP5), 36))
    return folder


@pytest.fixture(scope="module")
def scored(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Split, tuple[Path, list[ItemResult]]]:
    """Predictions and items of both halves, by the real worker."""
    with pytest.MonkeyPatch.context() as patch:
        made.without_counts(patch)
        out, evaluator = tmp_path_factory.mktemp("scored"), Evaluator()
        return {
            split: (
                out / f"predictions-{split}.jsonl",
                run(evaluator, assets, out, split, settings_of(*EVERY), predictions=True)[1],
            )
            for split in HALVES
        }


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    made.without_counts(monkeypatch)


@pytest.mark.parametrize("split", HALVES)
def test_every_kind_of_set_is_scored_the_same_again(assets: Path, scored: Any, split: Split) -> None:
    path, items = scored[split]
    again = list(rescore(path, split, SETTINGS, layout.evaluation(assets)))
    assert again == items
    assert {item.benchmark for item in again} == set(EVERY)
    assert 0 < sum(item.score or 0 for item in again) < len(again)


def test_an_item_whose_image_cannot_be_read_needs_no_answer(scored: Any) -> None:
    said = [json.loads(line) for path, _ in scored.values() for line in path.read_text().splitlines()]
    of_f1 = {one["item"] for one in said if one["benchmark"] == F1}
    assert len(of_f1) == 119
    assert "0/s0000007" not in of_f1


def changed(scored: Any, tmp_path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
    lines = [json.loads(line) for line in scored["public"][0].read_text().splitlines()]
    path = tmp_path / "predictions-public.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))
    return path


def other_answer(key: str, answer: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """The first item of a set is answered so."""

    def change(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        place = next(n for n, line in enumerate(lines) if line["benchmark"] == key)
        told = answer(lines[place]["answer"]) if callable(answer) else answer
        return [*lines[:place], {**lines[place], "answer": told}, *lines[place + 1 :]]

    return change


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        (CIFAR, lambda told: told[::-1]),
        (CIFAR, []),
        (FLICKR, lambda told: {**told, "images": [None, None]}),
        (WINO, lambda told: told[::-1]),
    ],
    ids=["other-class", "no-number", "no-image", "other-order"],
)
def test_another_answer_makes_another_item(assets: Path, scored: Any, tmp_path: Path, key: str, answer: Any) -> None:
    path = changed(scored, tmp_path, other_answer(key, answer))
    again = list(rescore(path, "public", SETTINGS, layout.evaluation(assets)))
    different = [item for item, known in zip(again, scored["public"][1], strict=True) if item != known]
    assert {item.benchmark for item in different} <= {key}
    if key != FLICKR:  # where an untrained model is wrong already
        assert len(different) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[1:], "nothing is said to the public item"),
        (lambda lines: [lines[0], *lines], "comes twice"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "out of order"),
        (lambda lines: [{**lines[0], "item": "0/nobody"}, *lines[1:]], "there is no item '0/nobody'"),
        (lambda lines: [line for line in lines if line["benchmark"] != KINDS[-1]], "was to come"),
        (lambda lines: [*lines, {"benchmark": "other", "item": "1", "answer": 1}], "predictions for other"),
        (lambda lines: [{"benchmark": CIFAR}, *lines], "line 1: no prediction"),
        (other_answer(CIFAR, [0, 1, 2, 3, 99]), "is not 5 of 6 classes"),
        (other_answer(CIFAR, [0, 0, 0, 0, 0]), "is not 5 of 6 classes"),
        (other_answer(CIFAR, [True, 1, 2, 3, 4]), "is not 5 of 6 classes"),
        (other_answer(CIFAR, {"top": 1}), "is not 5 of 6 classes"),
        (other_answer(FLICKR, {"caption": "me", "images": []}), "does not name its nearest caption"),
        (other_answer(FLICKR, {"caption": None, "images": []}), "does not name its nearest caption and 2 images"),
        (other_answer(WINO, ["picture-1"]), "is no order of its candidates"),
        (other_answer(WINO, [[1], {}, None]), "is no order of its candidates"),
    ],
    ids=[
        *("missing", "twice", "order", "unknown", "no-set", "other-set", "form", "class", "same-class", "bool"),
        *("object", "match", "images", "few", "odd"),
    ],
)
def test_what_cannot_have_been_said_is_named(
    assets: Path, scored: Any, tmp_path: Path, change: Any, says: str
) -> None:
    path = changed(scored, tmp_path, change)
    with pytest.raises(WorkerReplyInvalid, match=says):
        list(rescore(path, "public", SETTINGS, layout.evaluation(assets)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(made.COLOURS),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["caption", "images", "x"]), inner, max_size=3)
    ),
    max_leaves=9,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from((CIFAR, FLICKR, WINO, F1, TOP5)), answer=JSON)
def test_no_answer_whatever_breaks_the_scoring(
    assets: Path, scored: Any, tmp_path: Path, key: str, answer: Any
) -> None:
    """A record comes from elsewhere: what is no answer is said to be none, and nothing else happens."""
    path = changed(scored, tmp_path, other_answer(key, lambda told: answer))
    with contextlib.suppress(WorkerReplyInvalid):
        again = list(rescore(path, "public", SETTINGS, layout.evaluation(assets)))
        assert len(again) == len(scored["public"][1])


def test_an_item_of_the_other_half_is_named(assets: Path, scored: Any) -> None:
    with pytest.raises(WorkerReplyInvalid, match="is not one of the sealed half"):
        list(rescore(scored["public"][0], "sealed", SETTINGS, layout.evaluation(assets)))
    groups = {item.group for item in scored["public"][1] if item.benchmark == CIFAR}
    assert {half(group, SETTINGS, CIFAR) for group in groups} == {"public"}


def test_the_classes_of_a_macro_average_are_the_whole_sets(assets: Path) -> None:
    key = ClassKey.of(open_set(layout.evaluation(assets), made.set_of(F1)))
    answers = key.answers(np.array([0]), np.array([[3, 1, 0, 2, 4]]))
    assert answers.classes().tolist() == list(range(len(made.COLOURS)))
    (units,) = metrics.units(made.set_of(F1), answers)
    assert units is not None
    assert [unit.metric for unit in units] == ["class 0", "class 3"]
