"""What the audit of a pool of pairs finds, and its files. They name evaluation items, so they stay on the host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Literal, Self

from pydantic import ValidationError

from curation_plugins.config import AuditCounts, Frozen
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout

Rule = Literal["image", "descriptor"]

FLAGGED: Final = "flagged.jsonl"
COUNTS: Final = "audit.json"


class Finding(Frozen):
    """A pair whose picture is taken for one of an evaluation set."""

    row: int
    uid: str
    """32 hexadecimal digits."""
    rule: Rule
    benchmark: str
    """Key of the evaluation set."""
    item: str
    """The item's name in its set; the nearest, where several are near."""
    score: float
    """Correlation of the thumbnails (``image``), cosine of the descriptors (``descriptor``)."""


class FindingFile:
    """Findings on their way to disk: the file is under its name once all of them are in it.

    Used as a context; leaves nothing behind where something fails.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._scratch = folder / f"{FLAGGED}.new"
        self._rows: dict[str, set[int]] = defaultdict(set)
        self._by_rule: dict[str, set[int]] = defaultdict(set)
        self._items: dict[str, set[str]] = defaultdict(set)
        self._lines: IO[str] | None = None

    def __enter__(self) -> Self:
        self._lines = self._scratch.open("w", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, *problem: object) -> None:
        assert self._lines is not None
        self._lines.close()
        if kind is None:
            self._scratch.replace(self._folder / FLAGGED)
        else:
            self._scratch.unlink(missing_ok=True)

    def add(self, finding: Finding) -> None:
        assert self._lines is not None
        self._lines.write(finding.model_dump_json() + "\n")
        self._rows[finding.benchmark].add(finding.row)
        self._by_rule[finding.rule].add(finding.row)
        self._items[finding.benchmark].add(finding.item)

    def counts(self, rows: int, items: int, unreadable: int, version: int) -> AuditCounts:
        """What was found, in numbers."""
        return AuditCounts(
            rows=rows,
            items=items,
            pictures=rows,
            excluded=0,
            reported=len(set().union(*self._rows.values())),
            unreadable=unreadable,
            by_rule={rule: len(found) for rule, found in sorted(self._by_rule.items())},
            by_benchmark={name: len(found) for name, found in sorted(self._rows.items())},
            items_found={name: len(found) for name, found in sorted(self._items.items())},
            common=0,
            version=version,
            excludes=False,
        )


def write_counts(assets: Path, counts: AuditCounts) -> None:
    """Says that the audit is through, and what it counted."""
    file = layout.audit(assets) / COUNTS
    scratch = file.with_suffix(".new")
    scratch.write_text(counts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    scratch.replace(file)


def read_counts(assets: Path) -> AuditCounts | None:
    """What the audit of these assets counted; none where there was nothing to compare with.

    Raises:
        AssetsInvalid: the file is damaged.
    """
    file = layout.audit(assets) / COUNTS
    try:
        return AuditCounts.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise _damaged(file, error) from None


def read_findings(assets: Path) -> Iterator[Finding]:
    """The findings, one at a time.

    Raises:
        AssetsInvalid: the file is missing or damaged.
    """
    file = layout.audit(assets) / FLAGGED
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield Finding.model_validate_json(line)
    except (OSError, ValidationError) as error:
        raise _damaged(file, error) from None


def _damaged(path: Path, error: Exception) -> AssetsInvalid:
    said = str(error).splitlines()[0]
    return AssetsInvalid(f"{path}: cannot be read ({said})", hint="Remove the assets folder to have it made again.")
