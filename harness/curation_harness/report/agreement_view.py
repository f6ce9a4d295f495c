"""A labeller's agreement with a corpus, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from curation_harness.diagnostics.agreement import Agreement, HalfAgreement, Rate
from curation_harness.report.wording import NOTHING


class AgreementView:
    """What ``harness diagnose --corpus`` prints. Single cases are in ``--json`` only, so that a glance at a held-out
    half does not show them."""

    def __init__(self, agreement: Agreement) -> None:
        self.agreement = agreement

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for half in self.agreement.halves:
            yield from _half(half)
            yield Text("")


def _half(half: HalfAgreement) -> Iterator[RenderableType]:
    yield Text(f"{half.half}: {half.cases} cases", style="bold")
    yield Text(f"label: {rate(half.agreement)}; plain cases {rate(half.plain)}; hard ones {rate(half.hard)}")
    yield Text(f"shallow: {rate(half.shallow)}")
    labels = _table("label", "both", "missed", "wrong", "neither", "found", "right")
    for line in half.labels:
        counts = (line.both, line.missed, line.wrong, line.neither)
        labels.add_row(line.label, *map(str, counts), rate(line.found), rate(line.right))
    yield labels
    names = [line.label for line in half.labels]
    confusion = _table("written ↓ given →", *names)
    for truth in names:
        row = half.confusion.get(truth, {})
        confusion.add_row(truth, *(str(row.get(given, 0) or NOTHING) for given in names))
    yield confusion


def rate(found: Rate) -> str:
    """``57 of 60, 0.95 (0.86 to 0.98)``."""
    if found.interval is None:
        return NOTHING
    interval = f"({found.interval.low:.2f} to {found.interval.high:.2f})"
    return f"{found.count} of {found.of}, {found.count / found.of:.2f} {interval}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
