"""What the report's figures have in common: style, size, and how they become SVG text.

Every figure is deterministic: the same numbers give the same bytes. Colours are those of Okabe & Ito
(2008), which readers with any common colour blindness can tell apart; shapes differ where colours
do. Names come from tasks, so nothing in a label is read as mathematics. Text sizes suit the width
that ``html`` shows them at.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from curation_harness.report.plain import one_line

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, YELLOW, BLACK, GREY, DARK = "#56B4E9", "#F0E442", "#000000", "#8C8C8C", "#1F1F1F"
GRID = "#E6E6E6"
WIDTH = 7.6
"""Inches."""
LEGEND_SHORT = 17
"""Characters of a label of which four fit side by side into a figure's width."""
MANY = 20
"""Attempts above which single ones are no longer named in a figure."""

_STYLE = {
    "svg.hashsalt": "curation-harness",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": DARK,
    "axes.labelcolor": DARK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "errorbar.capsize": 2.5,
}


@contextmanager
def drawing(height: float, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of that many inches in height, with panels side by side."""
    with mpl.rc_context(cast(Any, _STYLE)):  # newer stubs name every key, older ones do not
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        yield figure, list(figure.subplots(1, columns, squeeze=False)[0])


def svg(figure: Figure) -> str:
    """The figure as text, without the time and the program that made it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def name_of(text: str) -> str:
    """A name from a task, as short as a label has to be."""
    name = one_line(text, 24)
    return f" {name}" if name.startswith("_") else name or "(no name)"  # a legend leaves out "_x"


def legend_columns(labels: Iterable[str]) -> int:
    """How many labels a line of a legend has room for, over the whole width of a figure."""
    longest = max(map(len, labels), default=0)
    return 4 if longest <= LEGEND_SHORT else 3


def whole_numbers(axes: Axes, count: int) -> None:
    """Attempts 1 to ``count`` on the horizontal axis."""
    axes.set_xlim(0.4, count + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.set_xlabel("attempt")
