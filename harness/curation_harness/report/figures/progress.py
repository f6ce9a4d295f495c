"""The course of a run: attempts in order, beside random search and references."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from curation_harness.record.summary import AttemptLine, Summary
from curation_harness.report.figures.canvas import (
    BLUE,
    GREY,
    GRID,
    MANY,
    ORANGE,
    RED,
    drawing,
    name_of,
    svg,
    whole_numbers,
)

LINES = ("base", "random", "full")
"""References drawn here; all of them are in the table."""


def progress(summary: Summary) -> str | None:
    """Public score of every attempt, best so far, and what random selections would reach.

    None without scores.
    """
    scored = [line for line in summary.attempts if line.public]
    if not scored:
        return None
    with drawing(4.2) as (figure, [axes]):
        count = len(summary.attempts)
        _score_points(axes, scored)
        _best_so_far(axes, summary.attempts)
        if summary.random_search:
            search = summary.random_search
            axes.plot(
                range(1, count + 1),
                search.expected_maximum,
                color=ORANGE,
                linestyle="--",
                marker="D" if count <= MANY else None,
                markersize=4,
                label="best of k random selections, expected",
            )
        _reference_lines(axes, summary)
        _not_scored(axes, summary.attempts)
        whole_numbers(axes, count)
        axes.set_ylabel("public score")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return svg(figure)


def _score_points(axes: Axes, scored: Sequence[AttemptLine]) -> None:
    pairs = [(line.n, line.public) for line in scored if line.public]
    axes.errorbar(
        [n for n, _ in pairs],
        [public.mean for _, public in pairs],
        yerr=[public.stderr for _, public in pairs],
        fmt="o",
        color=BLUE,
        markersize=5 if len(pairs) <= MANY else 3.5,
        elinewidth=1.2,
        label="attempt, ± standard error",
        zorder=3,
    )


def _best_so_far(axes: Axes, attempts: Sequence[AttemptLine]) -> None:
    steps: list[tuple[int, float]] = []
    for line in attempts:
        before = steps[-1][1] if steps else None
        if line.public:
            steps.append((line.n, line.public.mean if before is None else max(before, line.public.mean)))
        elif before is not None:
            steps.append((line.n, before))
    axes.step(
        [n for n, _ in steps],
        [value for _, value in steps],
        where="post",
        color=BLUE,
        linewidth=1.6,
        alpha=0.75,
        label="best so far",
    )


def _reference_lines(axes: Axes, summary: Summary) -> None:
    """Horizontal lines, named at the right end; names that would touch are moved apart."""
    lines = sorted((line for line in summary.references if line.name in LINES), key=lambda line: line.public)
    for line in lines:
        axes.axhline(line.public, color=GREY, linewidth=1.1, linestyle=":", zorder=1)
    low, high = axes.get_ylim()
    gap, place = (high - low) * 0.055, float("-inf")
    for line in lines:
        place = max(line.public, place + gap)
        axes.annotate(
            f" {name_of(line.name)} {line.public:.3f}",
            xy=(1.0, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _not_scored(axes: Axes, attempts: Sequence[AttemptLine]) -> None:
    for status, marker, label in (("failed", "x", "our failure"), ("pending", "|", "not scored yet")):
        numbers = [line.n for line in attempts if line.status == status]
        if numbers:
            axes.plot(
                numbers,
                [0.02] * len(numbers),
                transform=axes.get_xaxis_transform(),
                linestyle="none",
                marker=marker,
                color=RED,
                label=label,
                clip_on=False,
            )
