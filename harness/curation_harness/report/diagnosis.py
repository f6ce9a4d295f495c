"""``diagnosis.html``: the diagnoses of one or many runs in one self-contained file, as ``report.html`` is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation_harness.diagnostics.comparison import Comparison, bands
from curation_harness.diagnostics.diagnosis import RunDiagnosis
from curation_harness.report import told
from curation_harness.report.figures import course, descent
from curation_harness.report.html import Drawn, FigureView, embedded, environment

PAGE = "diagnosis.html"


@dataclass(frozen=True, kw_only=True)
class RunPage:
    number: int
    run: RunDiagnosis
    figures: tuple[FigureView, ...]


def render(comparison: Comparison) -> str:
    """The page as text."""
    pages = [
        RunPage(number=number, run=run, figures=tuple(embedded(_of_run(run, number))))
        for number, run in enumerate(comparison.runs, start=1)
    ]
    return (
        environment()
        .get_template("diagnosis.html.j2")
        .render(comparison=comparison, pages=pages, searches=tuple(embedded(_searches(comparison))), told=told)
    )


def _searches(comparison: Comparison) -> Iterator[Drawn]:
    found = bands(comparison.runs)
    for place, task in enumerate(sorted({band.task for band in found})):
        yield (
            f"search-{place}",
            f"Score against iterations, {task}",
            "Best public score so far. The line is the mean over runs, the band goes from the smallest to the largest"
            " of them; a run that ended early stays where it ended. Dotted: the best of as many random selections,"
            " expected. A search that does not leave it has found nothing but noise.",
            course.search([band for band in found if band.task == task]),
        )


def _of_run(run: RunDiagnosis, place: int) -> Iterator[Drawn]:
    yield (
        f"timeline-{place}",
        "What did each attempt try, and what came of it?",
        "Each mark is one attempt on the public items with one standard error, its shape the label; the step is the"
        " best so far. Below: filled squares where a flag is set, open ones where it is not, none where it cannot be"
        " told. " + told.noise(run),
        course.timeline(run),
    )
    yield (
        f"tree-{place}",
        "What goes back to what?",
        "One row a family, from left to right in the order of attempts. A line leads to an attempt from the one whose"
        " procedure it goes back to, a dashed one from a further one. Without a line an attempt began anew.",
        descent.tree(run),
    )
    yield (
        f"pairs-{place}",
        "Which attempts are alike?",
        "Left: rows in common, out of all rows of both"
        + (f" (two random selections would share {chance:.2f}). " if (chance := told.by_chance(run)) else ". ")
        + "Right: operations and their order in common in the two policies' code, with names and numbers erased.",
        descent.pairs(run),
    )
    yield (
        f"ribbon-{place}",
        "What was the data made of?",
        "Share of each source among the chosen rows, from the pool at the left edge through the attempts.",
        course.ribbon(run),
    )
