"""Item results and tallies for tests, made of a few numbers."""

from __future__ import annotations

from collections.abc import Sequence

from curation_harness.record.sums import Halves, shorten
from curation_harness.record.tallies import Tallies, tally
from curation_plugins.jobs import ItemResult


def item(name: str, score: float | None, group: str = "g", benchmark: str = "b", **fields: object) -> ItemResult:
    return ItemResult.model_validate({"benchmark": benchmark, "item": name, "group": group, "score": score, **fields})


def halves(values: Sequence[float], *, left_out: bool = False) -> Halves:
    def half(name: str) -> Tallies:
        members = [item(str(k), value, f"{name} {k // 2}") for k, value in enumerate(values)]
        if left_out:
            members[0] = item("0", None, f"{name} 0", unscored="judge")
        return shorten(tally(members))

    return {"public": half("public"), "sealed": half("sealed")}
