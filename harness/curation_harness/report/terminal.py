"""A summary in the terminal: what ``harness show`` and the end of ``harness launch`` print.

Framed tables on a terminal, bare columns in a pipe, and plain lines where the window is too narrow for a
table. Everything an agent wrote goes through ``plain.one_line`` and is printed as ``Text``, which knows no
markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from curation_harness.record.summary import AttemptLine, Summary
from curation_harness.report import findings, wording
from curation_harness.report.plain import one_line

NARROW = 76
"""Columns below which a table helps nobody."""
BETWEEN = 3
"""Columns between two cells of a framed table."""
WIDE = 100
"""Columns from which the table of references has room for intervals; the HTML report always has them."""
LEAST_NOTE = 14
"""Columns that the note needs beside the others."""
NAME = 16
"""Characters of a benchmark's or reference's name."""
MOST_BENCHMARKS = 6
"""Benchmarks that a table has columns for; further ones are in the HTML report."""

_STYLES = {
    "scored": "green",
    "running": "cyan",
    "pending": "yellow",
    "unscored": "yellow",
    "failed": "red",
}
_ASCII = str.maketrans({"±": "+/-", "·": "-", "…": "."})


def ascii_text(text: str) -> str:
    """The harness's own words without their few characters that are not ASCII."""
    return text.translate(_ASCII)


class SummaryView:
    """A rich renderable of a summary, laid out for the console it is printed on."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        layout = Layout(width=options.max_width, framed=console.is_terminal, ascii_only=options.ascii_only)
        yield _header(self.summary, layout)
        for part in _parts(self.summary, layout):
            yield Text("")
            yield part


@dataclass(frozen=True)
class Layout:
    """What the console can show."""

    width: int
    framed: bool
    ascii_only: bool

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    def text(self, value: str, style: str = "", *, limit: int = 400) -> Text:
        """One line of anybody's text."""
        value = ascii_text(value) if self.ascii_only else value
        return Text(one_line(value, limit, ascii_only=self.ascii_only), style=style)

    def table(self, *columns: str) -> Table:
        frame = (box.ASCII2 if self.ascii_only else box.ROUNDED) if self.framed else None
        table = Table(box=frame, header_style="bold", pad_edge=self.framed, padding=(0, 1))
        for column in columns:
            table.add_column(self.text(column, limit=NAME), no_wrap=True)
        return table

    def room(self, columns: Mapping[str, Sequence[Text]]) -> int:
        """Columns of the console left for a note beside these columns of a table."""
        taken = sum(
            max(cell_len(name[:NAME]), *(cell.cell_len for cell in cells)) + BETWEEN
            for name, cells in columns.items()
        )
        return self.width - taken - BETWEEN - 1

    def fits(self, columns: Mapping[str, Sequence[Text]]) -> bool:
        """Whether these columns are a table that the console has room for."""
        return self.room(columns) >= -BETWEEN


def _header(summary: Summary, layout: Layout) -> RenderableType:
    lines = [
        layout.text(f"Run {summary.run_id}", "bold"),
        layout.text(
            f"task {summary.task} · agent {wording.agent(summary)} · scaffold {summary.scaffold}"
            f" · seed {summary.seed}"
        ),
        Text("status ").append_text(layout.text(summary.status, _STYLES.get(summary.status, "yellow"))),
    ]
    return Text("\n").join(lines)


def _parts(summary: Summary, layout: Layout) -> Iterator[RenderableType]:
    if not summary.attempts:
        yield layout.text("No attempts.")
    elif layout.narrow:
        yield Text("\n").join(_attempt_lines(summary, layout))
    else:
        yield from _attempts(summary, layout)
    yield _headline(summary, layout)
    if summary.references:
        yield _references(summary, layout)
    if summary.sealed:
        yield _all_items(summary, layout)
    told = findings.everything(summary)
    if told:
        yield Text("\n").join(layout.text(sentence, limit=800) for sentence in told)
    yield layout.text(wording.noise(summary))
    yield _ledger(summary, layout)


# -- attempts --------------------------------------------------------------------------------------


def _benchmarks(summary: Summary) -> list[str]:
    names = {name for line in summary.attempts if line.public for name in line.public.by_benchmark}
    return sorted(names)[:MOST_BENCHMARKS]


def _attempts(summary: Summary, layout: Layout) -> Iterator[Table]:
    """The table of attempts; scores per benchmark get a table of their own where they do not fit in."""
    facts = _columns(summary, layout)
    benchmarks = {
        name: [layout.text(_benchmark(line, name)) for line in summary.attempts] for name in _benchmarks(summary)
    }
    beside = layout.room(facts | benchmarks) >= LEAST_NOTE
    columns = facts | benchmarks if beside else facts
    table = layout.table(*columns, "note")
    table.columns[-1].overflow = "ellipsis"
    room = max(LEAST_NOTE, layout.room(columns))
    for place, line in enumerate(summary.attempts):
        cells = [column[place] for column in columns.values()]
        note = layout.text(_note(line), limit=room)
        table.add_row(*cells, note, style="bold" if line.best else None)
    yield table
    if benchmarks and not beside:
        yield _by_benchmark(summary, layout, benchmarks)


def _columns(summary: Summary, layout: Layout) -> dict[str, list[Text]]:
    columns = {
        "#": [_number(line, layout) for line in summary.attempts],
        "status": [_outcome(line, layout) for line in summary.attempts],
        "rows": [layout.text(str(line.rows)) for line in summary.attempts],
        "public": [layout.text(_public(line)) for line in summary.attempts],
    }
    if any(line.truth for line in summary.attempts):
        truths = [line.truth for line in summary.attempts]
        columns["prec."] = [layout.text(f"{t.precision:.2f}" if t else "-") for t in truths]
        columns["recall"] = [layout.text(f"{t.recall:.2f}" if t else "-") for t in truths]
    return columns


def _by_benchmark(summary: Summary, layout: Layout, benchmarks: Mapping[str, Sequence[Text]]) -> Table:
    """As much as the window has room for: without the errors if need be, then with fewer benchmarks."""
    columns = {"#": [_number(line, layout) for line in summary.attempts], **_without_common(benchmarks)}
    if not layout.fits(columns):
        bare = {name: [layout.text(_mean(line, name)) for line in summary.attempts] for name in benchmarks}
        columns = {"#": columns["#"], **_without_common(bare)}
    while len(columns) > 2 and not layout.fits(columns):
        columns.popitem()
    table = layout.table(*columns)
    for place, line in enumerate(summary.attempts):
        if line.public:
            cells = [column[place] for column in columns.values()]
            table.add_row(*cells, style="bold" if line.best else None)
    return table


def _without_common(benchmarks: Mapping[str, Sequence[Text]]) -> dict[str, Sequence[Text]]:
    """Names without what all begin with: ``tiny/digits`` and ``tiny/words`` are ``digits`` and ``words``."""
    heads = {name.rpartition("/")[0] for name in benchmarks}
    cut = len(next(iter(heads))) + 1 if len(heads) == 1 and heads != {""} else 0
    return {name[cut:]: cells for name, cells in benchmarks.items()}


def _attempt_lines(summary: Summary, layout: Layout) -> Iterator[Text]:
    for line in summary.attempts:
        what = f"{line.n}. {wording.outcome(line)}"
        if line.public:
            what += f" {_public(line)}"
        what += f", {line.rows} rows"
        if line.truth:
            what += f", precision {line.truth.precision:.2f}, recall {line.truth.recall:.2f}"
        if line.best:
            what += " (best)"
        yield layout.text(what, "bold" if line.best else "")
        if _note(line):
            yield layout.text("   " + _note(line), "dim", limit=160)


def _number(line: AttemptLine, layout: Layout) -> Text:
    mark = " *" if layout.ascii_only else " ★"
    return layout.text(f"{line.n}{mark if line.best else ''}")


def _outcome(line: AttemptLine, layout: Layout) -> Text:
    return layout.text(wording.outcome(line), _STYLES.get(line.status, ""))


def _public(line: AttemptLine) -> str:
    return wording.score(line.public.mean, line.public.stderr) if line.public else "-"


def _benchmark(line: AttemptLine, name: str) -> str:
    score = line.public.by_benchmark.get(name) if line.public else None
    return wording.score(score.mean, score.stderr) if score else "-"


def _mean(line: AttemptLine, name: str) -> str:
    score = line.public.by_benchmark.get(name) if line.public else None
    return f"{score.mean:.3f}" if score else "-"


def _note(line: AttemptLine) -> str:
    return line.failure if line.failure is not None else line.note


# -- what it came to -------------------------------------------------------------------------------


def _headline(summary: Summary, layout: Layout) -> Text:
    first, *rest = wording.headline(summary)
    return Text("\n").join([layout.text(first, "bold"), *(layout.text(line) for line in rest)])


def _references(summary: Summary, layout: Layout) -> RenderableType:
    if layout.narrow:
        return Text("\n").join(
            layout.text(
                f"{line.name}: public {line.public:.3f}, sealed {line.sealed:.3f}, {wording.seeds(line.seeds)}"
            )
            for line in summary.references
        )
    intervals = ("95%",) if layout.width >= WIDE else ()
    table = layout.table("reference", "seeds", "public", "sealed", "headline is", *intervals)
    for line in summary.references:
        difference = f"{summary.sealed.mean - line.sealed:+.3f}" if summary.sealed else "-"
        found = findings.difference(summary, line.name, "sealed")
        table.add_row(
            layout.text(line.name, limit=NAME),
            layout.text(str(line.seeds)),
            layout.text(wording.score(line.public, line.public_sd)),
            layout.text(wording.score(line.sealed, line.sealed_sd)),
            layout.text(difference),
            *(layout.text(findings.signed(found.interval) if found else "-") for _ in intervals),
        )
    table.caption = "± is the standard deviation over seeds"
    if layout.ascii_only:
        table.caption = ascii_text(table.caption)
    table.caption_justify = "left"
    return table


def _all_items(summary: Summary, layout: Layout) -> Text:
    """The headline on all items, between what was measured and what others published."""
    lines = [layout.text("On all items, public and sealed, which published tables are about:")]
    for name, value, error, whose in findings.all_items(summary):
        style = "bold" if name == "this run" else ""
        lines.append(layout.text(f"{wording.score(value, error)} {name}, {whose}", style))
    return Text("\n").join(lines)


def _ledger(summary: Summary, layout: Layout) -> Text:
    spent = [f"{budget.name} {wording.spent(budget)}" for budget in summary.ledger]
    lines = [layout.text("Spent: " + "; ".join(spent))]
    if summary.refusals:
        refused = "1 submission was" if summary.refusals == 1 else f"{summary.refusals} submissions were"
        lines.append(layout.text(f"{refused} refused."))
    if summary.audit is not None:
        lines.append(layout.text(f"Pool: {wording.audited(summary.audit)}."))
    lines.append(layout.text(f"Record: {summary.folder}", limit=4096))
    if summary.root is not None:
        lines.append(layout.text(f"Root: {summary.root}"))
    return Text("\n").join(lines)
