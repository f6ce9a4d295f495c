"""Of a macro-average two models on the same items have different cells: an answer counts where it was put."""

from __future__ import annotations

import numpy as np
import pytest

from curation_harness.record.bootstrap import resample
from curation_harness.record.sums import HALVES, Halves, pack, same_items, shorten, unpack, whole
from curation_harness.record.tallies import tally
from curation_plugins.jobs import ItemResult, ItemUnit

SET = "animals"


def halves(seed: int, classes: int = 9, items: int = 120) -> Halves:
    """Answers to the same items, half of them right; some classes are in one half only."""
    labels = np.random.default_rng(0).integers(0, classes, items)
    rng = np.random.default_rng(seed)
    told = np.where(rng.random(items) < 0.5, labels, rng.integers(0, classes, items))

    def result(place: int) -> ItemResult:
        label, answer = int(labels[place]), int(told[place])
        units = [ItemUnit(metric=f"class {label}", value=2.0 * (label == answer), base=1.0 + (label == answer))]
        if label != answer:
            units.append(ItemUnit(metric=f"class {answer}", value=0.0))
        score = float(label == answer)
        return ItemResult(benchmark=SET, item=str(place), group=f"g{place // 4}", score=score, units=tuple(units))

    def of_half(place: int) -> int:
        return 0 if labels[place // 4 * 4] < classes // 2 else 1

    return {
        half: shorten(tally([result(place) for place in range(items) if of_half(place) == number]))
        for number, half in enumerate(HALVES)
    }


def test_a_table_of_models_that_answer_differently_holds_all_their_sums() -> None:
    arms = {"random": [halves(1), halves(2)], "full": [halves(3)]}
    assert same_items(*arms["random"])
    found = unpack(pack(arms))
    for name, models in arms.items():
        for model, known in zip(models, found[name], strict=True):
            for half in HALVES:
                again = resample({"again": [known[half]]}, 3).measured["again"]
                assert again.point[0] == pytest.approx(model[half].score(SET))


def test_every_draw_has_a_score_though_rare_classes_are_not_in_all() -> None:
    one, other = whole(halves(1)), whole(halves(2))
    measured = resample({"one": [one], "other": [other]}, 200).measured
    assert measured["one"].point[0] == pytest.approx(one.score(SET))
    assert measured["other"].point[0] == pytest.approx(other.score(SET))
    assert np.isfinite(measured["one"].draws).all()
    few = [halves(seed, classes=60)["public"] for seed in (1, 2)]
    assert few[0].cells[SET].keys() != few[1].cells[SET].keys()
    drawn = resample({"one": [few[0]], "other": [few[1]]}, 200).measured
    assert drawn["one"].point[0] == pytest.approx(few[0].score(SET))
    assert np.isfinite(drawn["one"].draws).all()
    assert 0.01 < drawn["one"].draws.std() < 0.2
