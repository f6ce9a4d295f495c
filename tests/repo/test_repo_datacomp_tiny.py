"""docs/datacomp-tiny.md: its calibration is the table that ships."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path
from typing import Final, Literal

import pytest

from curation_harness.record.models import ReferenceTable

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "datacomp-tiny.md").read_text(encoding="utf-8")
CALIBRATION: Final = PAGE.partition("## Calibration")[2].partition("\n## ")[0]
ROWS: Final = {
    "good pairs only": "clean-only",
    "best 30 % by the score in the place of L/14": "clip-l14-30",
    "best 30 % by the score in the place of B/32": "clip-b32-30",
    "one random 30 %": "random-fixed",
    "random 30 %": "random",
    "no filter": "full",
    "bad pairs only": "noisy-only",
}
"""Beginning of a row -> reference."""
GAPS: Final = (
    (r"good pairs beat random ones by ([\d.]+) on public items \(([\d.]+) sealed", "clean-only", "random"),
    (r"random ones beat bad ones by\s+([\d.]+) \(([\d.]+) sealed", "random", "noisy-only"),
    (r"the better score's filter beats the weaker one's by ([\d.]+) \(([\d.]+) sealed", "clip-l14-30", "clip-b32-30"),
)

Half = Literal["public", "sealed"]


@pytest.fixture(scope="module")
def table() -> ReferenceTable:
    path = ROOT / "tasks" / "datacomp-tiny" / "references.json"
    return ReferenceTable.model_validate_json(path.read_text(encoding="utf-8"))


def means(table: ReferenceTable, name: str, half: Half) -> list[float]:
    (arm,) = (arm for arm in table.arms if arm.name == name)
    return [seed.public.mean if half == "public" else seed.sealed.mean for seed in arm.seeds]


def test_every_row_is_what_was_measured(table: ReferenceTable) -> None:
    rows = [line.strip("| ").split(" | ") for line in CALIBRATION.splitlines() if line.startswith("| ")][1:]
    assert {arm.name for arm in table.arms} == set(ROWS.values())
    assert len(rows) == len(ROWS)
    for (what, pairs, seeds, *scores), (beginning, name) in zip(rows, ROWS.items(), strict=True):
        assert what.startswith(beginning)
        (arm,) = (arm for arm in table.arms if arm.name == name)
        assert (pairs, seeds) == (f"{arm.seeds[0].rows:,}", str(len(arm.seeds)))
        halves = [means(table, name, "public"), means(table, name, "sealed")]
        said = [f"{statistics.fmean(half):.3f} ({statistics.stdev(half):.3f})".replace("0.", ".") for half in halves]
        assert scores == said, name


@pytest.mark.parametrize(("pattern", "above", "below"), GAPS, ids=["good", "bad", "scores"])
def test_gaps_are_in_standard_deviations_pooled_over_all_seeds(
    table: ReferenceTable, pattern: str, above: str, below: str
) -> None:
    found = re.search(pattern, CALIBRATION)
    assert found is not None
    for said, half in zip(found.groups(), ("public", "sealed"), strict=True):
        both = [means(table, name, "public" if half == "public" else "sealed") for name in (above, below)]
        squares = sum(statistics.variance(one) * (len(one) - 1) for one in both)
        pooled = math.sqrt(squares / sum(len(one) - 1 for one in both))
        assert said == f"{(statistics.fmean(both[0]) - statistics.fmean(both[1])) / pooled:.1f}", (above, below, half)
