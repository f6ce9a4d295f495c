"""What was selected: sources, overlap between attempts, and planted truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from curation_harness.record.models import ReferenceTable
from curation_harness.record.summary import Summary
from curation_harness.report.figures.canvas import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    GRID,
    MANY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    drawing,
    legend_columns,
    name_of,
    svg,
    whole_numbers,
)

SOURCE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK)
OTHER_COLOUR = "#BBBBBB"


def source_mix(pool: Mapping[str, int], mixes: Mapping[int, Mapping[str, int]]) -> str | None:
    """Share of each source in the pool and in each attempt's selection (by attempt number)."""
    if not pool or not mixes:
        return None
    bars = [("pool", pool), *((str(n), mix) for n, mix in mixes.items())]
    places = [-place - (0.35 if place == 0 else 0.8) for place in range(len(bars))]
    few = len(bars) <= MANY
    with drawing(1.5 + (0.34 if few else 0.17) * len(bars)) as (figure, [axes]):
        left = [0.0] * len(bars)
        for label, names, colour in _stack(pool):
            shares = [_share(mix, names) for _, mix in bars]
            axes.barh(
                places,
                shares,
                left=left,
                color=colour,
                edgecolor="white",
                linewidth=0.6,
                height=0.8,
                label=label,
            )
            left = [start + share for start, share in zip(left, shares, strict=True)]
        axes.set_yticks(places, [label for label, _ in bars], fontsize=9 if few else 6)
        axes.set(xlim=(0, 1), ylim=(places[-1] - 0.6, 0.15), xlabel="share of rows", ylabel="attempt")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        figure.legend(loc="outside upper left", ncols=legend_columns(map(name_of, named_sources(pool))))
        return svg(figure)


def named_sources(pool: Mapping[str, int]) -> list[str]:
    """Sources with a colour of their own, the largest first; with too many the small ones go together."""
    order = sorted(pool, key=lambda name: (-pool[name], name))
    return order if len(order) <= len(SOURCE_COLOURS) else order[: len(SOURCE_COLOURS) - 1]


def _stack(pool: Mapping[str, int]) -> Iterator[tuple[str, Sequence[str], str]]:
    """(label, sources, colour) of each part of a bar."""
    named = named_sources(pool)
    for name, colour in zip(named, SOURCE_COLOURS, strict=False):
        yield name_of(name), [name], colour
    others = [name for name in pool if name not in named]
    if others:
        yield f"{len(others)} others", others, OTHER_COLOUR


def _share(mix: Mapping[str, int], names: Sequence[str]) -> float:
    return sum(mix.get(name, 0) for name in names) / max(1, sum(mix.values()))


def overlap(numbers: Sequence[int], matrix: Sequence[Sequence[float]]) -> str | None:
    """Jaccard index of each two selections; None for fewer than two attempts."""
    if len(numbers) < 2:
        return None
    with drawing(4.6) as (figure, [axes]):
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis", interpolation="none")
        if len(numbers) <= 12:
            for row, values in enumerate(matrix):
                for column, value in enumerate(values):
                    axes.text(
                        column,
                        row,
                        f"{value:.2f}",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if value < 0.55 else "black",
                    )
        step = 1 if len(numbers) <= MANY else 5
        shown = range(0, len(numbers), step)
        axes.set_xticks(shown, [str(numbers[place]) for place in shown])
        axes.set_yticks(shown, [str(numbers[place]) for place in shown])
        axes.set(xlabel="attempt", ylabel="attempt", anchor="W")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, cax=axes.inset_axes((1.04, 0.0, 0.04, 1.0)), label="shared rows / all rows of both")
        return svg(figure)


def truth(summary: Summary, references: ReferenceTable | None) -> str | None:
    """Precision and recall against planted truth; None where a task has none."""
    known = [(line.n, line.truth) for line in summary.attempts if line.truth]
    if not known:
        return None
    with drawing(3.6) as (figure, [axes]):
        numbers = [n for n, _ in known]
        size = 6 if len(known) <= MANY else 4
        axes.plot(
            numbers,
            [found.precision for _, found in known],
            "o-",
            color=BLUE,
            markersize=size,
            linewidth=1,
            label="precision: good rows among the selected",
        )
        axes.plot(
            numbers,
            [found.recall for _, found in known],
            "^--",
            color=ORANGE,
            markersize=size,
            linewidth=1,
            label="recall: good rows found",
        )
        arm = references.arm("random") if references else None
        chance = [seed.truth.precision for seed in arm.seeds if seed.truth] if arm else []
        if chance:
            axes.axhline(
                sum(chance) / len(chance),
                color=GREY,
                linewidth=1.1,
                linestyle=":",
                label="precision of random selections",
            )
        whole_numbers(axes, len(summary.attempts))
        axes.set(ylim=(-0.02, 1.02), ylabel="share")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return svg(figure)
