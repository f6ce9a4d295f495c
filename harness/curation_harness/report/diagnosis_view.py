"""Diagnoses in the terminal: a table of attempts a run, and the runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from curation_harness.diagnostics.comparison import Comparison, Grouping
from curation_harness.diagnostics.diagnosis import Diagnosed, RunDiagnosis
from curation_harness.report import told
from curation_harness.report.plain import one_line

NOTE = 60
"""Characters of a note, or of the first piece of evidence, in the table."""


class DiagnosisView:
    """What ``harness diagnose`` prints; a rich renderable."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for run in self.comparison.runs:
            yield from _run(run)
            yield Text("")
        if len(self.comparison.runs) > 1:
            for grouping in self.comparison.groupings:
                yield _grouping(grouping)
                yield Text("")
            yield Text("Means over runs, the run being the unit, with 95% intervals where there are two or more.")


def _run(run: RunDiagnosis) -> Iterator[RenderableType]:
    who = f"{run.agent} with {run.model}" if run.model else run.agent
    yield Text(one_line(f"Run {run.run_id}", 200), style="bold")
    yield Text(one_line(f"task {run.task} · agent {who} · scaffold {run.scaffold}", 300))
    table = _table("#", "label", "family", "score", "gain", "nearest", "overlap", "gr.", "sh.", "eff.", "why")
    for one in run.tries:
        table.add_row(*_cells(one))
    yield table
    lines = _table("label", "attempts", "grounded", "effective", "added", "took")
    for line in run.summary.labels:
        cells = (line.label, told.count(line.attempts), told.count(line.grounded), told.count(line.effective))
        lines.add_row(*cells, f"{line.gain:+.3f}", told.cost(line))
    yield lines
    summary = run.summary
    for sentence in (
        told.gap(run),
        f"New family {told.count(summary.shares['new family'])}, grounded {told.count(summary.grounded)}, shallow"
        f" {told.count(summary.shallow)}, effective {told.count(summary.effective)}.",
        told.chance(run),
        told.noise(run),
        told.left_out(run),
        told.total(run),
        told.means(run),
    ):
        if sentence:
            yield Text(sentence)


def _cells(one: Diagnosed) -> tuple[Text, ...]:
    measured = one.features
    nearest = measured.nearest
    said = one.labelled.evidence if one.labelled else one.problems
    cells = (
        str(one.n) if one.n is not None else f"r{one.refusal}",
        told.label(one),
        (one.labelled.family if one.labelled else None) or "",
        "" if measured.mean is None else f"{measured.mean:.3f}",
        "" if measured.gain is None else f"{measured.gain:+.3f}",
        "" if nearest is None else f"{nearest} at {measured.distances[nearest]:.2f}",
        "" if nearest not in measured.overlaps else f"{measured.overlaps[nearest]:.2f}",
        *(told.flag(found) if one.labelled else "" for found in (one.grounded, one.shallow, one.effective)),
        said[0] if said else one.note,
    )
    return tuple(Text(one_line(cell, NOTE)) for cell in cells)


def _grouping(grouping: Grouping) -> Table:
    columns = ("runs", "attempts", "new family", "grounded", "shallow", "effective", "gap", "best", "sealed", "cost")
    table = _table(grouping.by, *columns)
    for group in grouping.groups:
        table.add_row(
            one_line(group.name, 48),
            str(len(group.runs)),
            str(group.attempts),
            *(told.share(found) for found in (group.new_family, group.grounded, group.shallow, group.effective)),
            told.number(group.gap, 2),
            told.number(group.best),
            told.number(group.sealed),
            told.dollars(group.dollars),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table
