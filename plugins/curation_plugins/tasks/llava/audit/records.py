"""The audit of rows that were handed in: rewritten or new ones, compared before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from curation_plugins.errors import AssetsInvalid, ProblemList
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import benchmark_items
from curation_plugins.tasks.llava.audit.findings import Audit, read_summary
from curation_plugins.tasks.llava.audit.pool import audit_pool
from curation_plugins.tasks.llava.rows import Row


def audit_records(records: Iterable[Row], assets: Path, benchmarks: Sequence[str], *, pictures: Path) -> Audit:
    """Compares records with every item, by the same rules as the pool.

    Which questions are too common to say anything is known from the pool, and never learnt from the records: else
    an item that is handed in often enough would count as common.

    Args:
        records: a record's place is its row in the findings.
        benchmarks: the task's; each must have items.
        pictures: folder that the records' pictures lie below.

    Raises:
        AssetsInvalid: items, pictures or the pool's audit are missing or damaged: what could not be compared with
            everything is not let through.
    """
    items = benchmark_items(assets)
    absent = [name for name in benchmarks if not any(item.benchmark == name for item in items)]
    if absent:
        raise AssetsInvalid(
            f"there are no items of benchmark {absent[0]} under {layout.benchmarks(assets)}; nothing was audited",
            hint="Remove the assets folder to have it made again.",
        )
    return audit_pool(
        records,
        items,
        pool=pictures,
        benchmarks=layout.benchmarks(assets),
        common=read_summary(layout.audit(assets)).common,
        learn_common=False,
    )


def problems_of(audit: Audit) -> ProblemList:
    """Why a submission is refused: which records, and never which item, which would tell what the items are."""
    problems = ProblemList()
    unreadable = set(audit.unreadable)
    for row in sorted(audit.excluded()):
        if row in unreadable:
            problems.add("unreadable-image", f"the picture of record {row} cannot be read", row)
        else:
            problems.add("benchmark-item", f"record {row} is too near an item of a benchmark", row)
    return problems
