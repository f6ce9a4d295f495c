"""How the attempts of a diagnosed run relate: what descends from what, and how much each two share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from curation_harness.diagnostics.diagnosis import Diagnosed, RunDiagnosis
from curation_harness.report.figures.canvas import DARK, GREY, GRID, MANY, drawing, svg, whole_numbers
from curation_harness.report.figures.course import MARKS, patches


def tree(run: RunDiagnosis) -> str | None:
    """Attempts as nodes, each with a line to those whose procedure it goes back to; one height a family.

    None with fewer than two labelled attempts.
    """
    nodes = [one for one in run.attempts if one.labelled is not None and one.n is not None]
    if len(nodes) < 2:
        return None
    lanes = _lanes(nodes)
    heights = _heights(nodes, lanes)
    with drawing(1.6 + 0.62 * len(lanes)) as (figure, [axes]):
        for one in nodes:
            assert one.labelled is not None
            for place, parent in enumerate(one.labelled.parents):
                if parent in heights and one.n is not None:
                    _branch(axes, (parent, heights[parent]), (one.n, heights[one.n]), faint=place > 0)
        size = 300 if len(nodes) <= MANY else 90
        for one in nodes:
            assert one.labelled is not None
            assert one.n is not None
            colour = MARKS[one.labelled.label][1]
            axes.scatter([one.n], [heights[one.n]], s=size, color=colour, edgecolor="white", linewidth=1.2, zorder=3)
            if len(nodes) <= MANY:
                axes.annotate(
                    str(one.n), (one.n, heights[one.n]), ha="center", va="center", fontsize=9, color="white", zorder=4
                )
        axes.set_yticks([-float(lane) for lane in lanes.values()], list(lanes))
        axes.set_ylim(-len(lanes) + 0.4, 0.6)
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        whole_numbers(axes, max(heights))
        figure.legend(
            handles=patches([one.labelled.label for one in nodes if one.labelled]), loc="outside upper left", ncols=4
        )
        return svg(figure)


def _lanes(nodes: Sequence[Diagnosed]) -> dict[str, int]:
    """Family → its row, in order of first use."""
    lanes: dict[str, int] = {}
    for one in nodes:
        lanes.setdefault(_lane(one), len(lanes))
    return lanes


def _lane(one: Diagnosed) -> str:
    return (one.labelled.family if one.labelled else None) or "not known"


def _heights(nodes: Sequence[Diagnosed], lanes: Mapping[str, int]) -> dict[int, float]:
    """Attempt → height; attempts next to each other in one lane stand a little apart, so that lines can be seen."""
    heights: dict[int, float] = {}
    for one in nodes:
        if one.n is not None:
            heights[one.n] = -lanes[_lane(one)] + (0.13 if one.n % 2 else -0.13)
    return heights


def _branch(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, faint: bool) -> None:
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": GREY if faint else DARK,
            "linewidth": 1.0,
            "linestyle": "--" if faint else "-",
            "connectionstyle": "arc3,rad=-0.18",
            "shrinkA": 8,
            "shrinkB": 9,
        },
        zorder=2,
    )


def pairs(run: RunDiagnosis) -> str | None:
    """Each two attempts: rows in common on the left, procedure in common on the right; None for fewer than two."""
    nodes = [one for one in run.attempts if one.n is not None]
    if len(nodes) < 2:
        return None
    numbers = [one.n for one in nodes if one.n is not None]
    with drawing(4.3, columns=2) as (figure, [left, right]):
        _matrix(left, numbers, [list(row) for row in run.overlaps], "shared rows / all rows of both")
        image = _matrix(right, numbers, _structure(nodes, numbers), "shared structure of the code")
        right.tick_params(labelleft=False)
        right.set_ylabel("")
        figure.colorbar(image, ax=[left, right], location="bottom", shrink=0.5, aspect=40, pad=0.02)
        return svg(figure)


def _structure(nodes: Sequence[Diagnosed], numbers: Sequence[int]) -> list[list[float]]:
    known = {(one.n, n): 1 - distance for one in nodes for n, distance in one.features.distances.items()}
    nothing = float("nan")
    return [[1.0 if a == b else known.get((max(a, b), min(a, b)), nothing) for b in numbers] for a in numbers]


def _matrix(axes: Axes, numbers: Sequence[int], matrix: Sequence[Sequence[float]], title: str) -> AxesImage:
    image = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis", interpolation="none")
    if len(numbers) <= 12:
        for row, values in enumerate(matrix):
            for column, value in enumerate(values):
                if value == value:  # not for what is not known
                    shade = "white" if value < 0.55 else "black"
                    text = f"{value:.2f}".removeprefix("0") if value < 1 else "1"
                    axes.text(column, row, text, ha="center", va="center", fontsize=7, color=shade)
    step = 1 if len(numbers) <= MANY else 5
    shown = range(0, len(numbers), step)
    axes.set_xticks(shown, [str(numbers[place]) for place in shown])
    axes.set_yticks(shown, [str(numbers[place]) for place in shown])
    axes.set(xlabel="attempt", ylabel="attempt")
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[:].set_visible(False)
    return image
