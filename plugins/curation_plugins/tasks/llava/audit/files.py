"""The audit of a task's files while they are made: what is read, and where the findings go."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import TypeAdapter

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.findings import Audit, write_audit
from curation_plugins.tasks.llava.audit.pool import audit_pool
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.items import read_items
from curation_plugins.tasks.llava.rows import Row, RowFile, dump_row

WITHHELD = "(withheld)"
"""What a row says in place of its content."""
_NAMED = 5
"""Rows that a message names at most."""


def audit_files(
    assets: Path,
    progress: Callable[[str, float], None],
    *,
    keep_unreadable: bool = False,
    also_excluded: Collection[int] = (),
    threads: int = 1,
) -> Audit:
    """Compares the pool in `assets` with its benchmarks, writes the findings, excludes and withholds the rows found.

    Once, and before anything is computed from the rows.

    Args:
        keep_unreadable: rows whose picture cannot be read are excluded; else they are an error.
        also_excluded: rows that are excluded for another reason.
        threads: that decode pictures.

    Raises:
        AssetsInvalid: a row's picture cannot be read; a benchmark's file or picture is missing or damaged.
    """
    rows = RowFile(layout.rows_file(assets))
    audit = audit_pool(
        rows,
        benchmark_items(assets),
        pool=layout.pool(assets),
        benchmarks=layout.benchmarks(assets),
        total=len(rows),
        progress=progress,
        threads=threads,
    )
    broken = sorted(set(audit.unreadable).difference(also_excluded))
    if broken and not keep_unreadable:
        named = ", ".join(f"row {row} ({rows[row].image})" for row in broken[:_NAMED])
        raise AssetsInvalid(
            f"the pictures of {len(broken)} row(s) cannot be read: {named}{' …' if len(broken) > _NAMED else ''}",
            hint="Fetch the images again, or set assets.missing_images=exclude to leave such rows out for everybody.",
        )
    write_audit(layout.audit(assets), audit)
    withhold(assets, audit.leaking())
    excluded = sorted(audit.excluded().union(also_excluded))
    if excluded:
        text = TypeAdapter(list[int]).dump_json(excluded).decode()
        layout.excluded_file(assets).write_text(text + "\n", encoding="utf-8")
    return audit


def withhold(assets: Path, leaking: frozenset[int]) -> None:
    """Takes the content of rows out of the pool, and pictures that only they show: who reads them, beside a list of
    their ids, reads what the benchmarks ask. Their places, sources and content hashes stay."""
    if not leaking:
        return
    file = layout.rows_file(assets)
    scratch = file.with_suffix(".new")
    hidden: set[str] = set()
    shown: set[str] = set()
    with file.open("rb") as lines, scratch.open("wb") as out:
        for place, line in enumerate(lines):
            row = Row.model_validate_json(line)
            pictures = hidden if place in leaking else shown
            if row.image is not None:
                pictures.add(row.image)
            out.write(_stub(row) if place in leaking else line)
    scratch.replace(file)
    for image in hidden - shown:
        (layout.pool(assets) / image).unlink(missing_ok=True)


def _stub(row: Row) -> bytes:
    record = json.loads(dump_row("", row.source, None, [("human", WITHHELD), ("gpt", WITHHELD)]))
    return json.dumps({**record, "withheld": row.content_hash()}, ensure_ascii=False).encode() + b"\n"


def benchmark_items(assets: Path) -> list[BenchmarkItem]:
    """The items of both halves.

    Raises:
        AssetsInvalid: a half's file is missing or damaged: an audit that saw half of the items would say nothing.
    """
    items: list[BenchmarkItem] = []
    for half in ("public", "sealed"):
        try:
            items += read_items(layout.benchmarks(assets), half)
        except (OSError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise AssetsInvalid(
                f"the {half} items of the benchmarks under {layout.benchmarks(assets)} cannot be read ({said});"
                " nothing was audited",
                hint="Remove the assets folder to have it made again.",
            ) from None
    return items
