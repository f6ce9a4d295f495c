"""What an audit finds, and its files. They quote benchmark items, so they stay on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from curation_plugins.config import AuditCounts, Frozen
from curation_plugins.errors import AssetsInvalid

Rule = Literal["image", "question+options", "question+answer", "question", "answer", "paraphrase", "embedding"]
REPORTED_ONLY: frozenset[Rule] = frozenset({"paraphrase", "embedding"})
"""Rules whose findings are listed and exclude nothing: the words of a question in another order may well ask
something else, and pictures that a model takes for alike may show two things."""

FLAGGED = "flagged.jsonl"
SUMMARY = "audit.json"


class Finding(Frozen):
    """Why one row is held to hold one benchmark item."""

    row: int
    rule: Rule
    benchmark: str
    item: str
    """The benchmark's item; the first, where several are the same by this rule."""
    group: str = ""
    score: float
    """Share of the item's n-grams (``question``, ``question+answer``, ``answer``), of n-grams and options
    (``question+options``) or of content words (``paraphrase``) that the row holds; correlation of the pictures
    (``image``); cosine of their vectors (``embedding``)."""
    how: str
    """What else speaks for it, for a reader."""
    row_says: str
    """Quoted from the row, or its picture's path."""
    item_says: str
    """Quoted from the item, or its picture's path."""

    @property
    def excludes(self) -> bool:
        return self.rule not in REPORTED_ONLY


class Audit(Frozen):
    """The findings of one audit."""

    findings: tuple[Finding, ...]
    """By row."""
    unreadable: tuple[int, ...]
    """Rows whose picture cannot be read, ascending."""
    common: tuple[str, ...]
    """The questions that the rows ask about very many pictures."""
    counts: AuditCounts

    def leaking(self) -> frozenset[int]:
        """Rows that hold an item, by a finding that excludes."""
        return frozenset({one.row for one in self.findings if one.excludes})

    def excluded(self) -> frozenset[int]:
        """Rows that nobody may choose: those that hold an item, and those with an unreadable picture."""
        return self.leaking().union(self.unreadable)


def summarise(
    findings: Iterable[Finding],
    unreadable: tuple[int, ...],
    common: tuple[str, ...],
    version: int,
    sizes: tuple[int, int, int],
) -> Audit:
    """Puts an audit together.

    Args:
        sizes: numbers of rows, items and pictures.
    """
    ordered = tuple(sorted(findings, key=lambda one: (one.row, one.rule, one.benchmark, one.item)))
    leaks = [one for one in ordered if one.excludes]
    rows = {one.row for one in leaks}
    counts = AuditCounts(
        rows=sizes[0],
        items=sizes[1],
        pictures=sizes[2],
        excluded=len(rows),
        reported=len({one.row for one in ordered} - rows),
        unreadable=len(unreadable),
        by_rule=_count({(one.rule, one.row) for one in ordered}),
        by_benchmark=_count({(one.benchmark, one.row) for one in leaks}),
        items_found=_count({(one.benchmark, one.group or one.item) for one in leaks}),
        common=len(common),
        version=version,
    )
    return Audit(findings=ordered, unreadable=unreadable, common=common, counts=counts)


def _count(pairs: Iterable[tuple[str, object]]) -> dict[str, int]:
    return dict(sorted(Counter(name for name, _ in pairs).items()))


def write_audit(folder: Path, audit: Audit) -> None:
    """Writes `flagged.jsonl` (one finding a line) and `audit.json` (counts, and which questions are common)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FLAGGED).open("w", encoding="utf-8") as lines:
        lines.writelines(one.model_dump_json() + "\n" for one in audit.findings)
    rest = audit.model_copy(update={"findings": ()})
    (folder / SUMMARY).write_text(rest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_findings(folder: Path) -> Iterator[Finding]:
    """The findings, one at a time.

    Raises:
        AssetsInvalid: the file is missing or damaged.
    """
    try:
        with (folder / FLAGGED).open(encoding="utf-8") as lines:
            for line in lines:
                yield Finding.model_validate_json(line)
    except (OSError, ValidationError) as error:
        raise _damaged(folder / FLAGGED, error) from None


def read_summary(folder: Path) -> Audit:
    """An audit without its findings.

    Raises:
        AssetsInvalid: the file is missing or damaged.
    """
    try:
        return Audit.model_validate_json((folder / SUMMARY).read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder / SUMMARY, error) from None


def _damaged(path: Path, error: Exception) -> AssetsInvalid:
    said = str(error).splitlines()[0]
    return AssetsInvalid(f"{path}: cannot be read ({said})", hint="Remove the assets folder to have it made again.")
