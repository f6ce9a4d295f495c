"""The course of a diagnosed run, attempt by attempt, and the courses of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from curation_harness.diagnostics.comparison import Band, best_so_far
from curation_harness.diagnostics.diagnosis import Diagnosed, RunDiagnosis
from curation_harness.diagnostics.judgement import Label
from curation_harness.report.figures.canvas import (
    BLACK,
    BLUE,
    DARK,
    GREEN,
    GREY,
    GRID,
    MANY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    drawing,
    legend_columns,
    name_of,
    svg,
    whole_numbers,
)
from curation_harness.report.figures.selections import OTHER_COLOUR, SOURCE_COLOURS, named_sources
from curation_harness.report.plain import one_line

MARKS: Final[Mapping[Label, tuple[str, str]]] = {
    "new family": ("*", GREEN),
    "adaptation": ("o", BLUE),
    "recombination": ("P", PURPLE),
    "local tuning": ("s", ORANGE),
    "seed or rerun": ("X", RED),
    "repair": ("^", SKY),
    "baseline": ("D", GREY),
    "unreadable": ("v", BLACK),
}
"""Label → marker and colour, the same in every figure."""

FLAGS: Final = ("grounded", "shallow", "effective")


def timeline(run: RunDiagnosis) -> str | None:
    """Score and label of every attempt with its flags, and the refused tries between them; None without scores."""
    if not best_so_far(run):
        return None
    with drawing(5.2) as (figure, [axes]):
        _scores(axes, run)
        _flags(axes, run)
        count = max(one.n for one in run.attempts if one.n is not None)
        whole_numbers(axes, count)
        axes.set_ylabel("public score")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        figure.legend(handles=_legend(run), loc="outside upper left", ncols=4)
        return svg(figure)


def _scores(axes: Axes, run: RunDiagnosis) -> None:
    steps: list[tuple[int, float]] = []
    for one in run.attempts:
        if one.n is None or one.features.mean is None or one.labelled is None:
            continue
        marker, colour = MARKS[one.labelled.label]
        axes.errorbar(
            one.n,
            one.features.mean,
            yerr=one.features.stderr or 0.0,
            fmt=marker,
            color=colour,
            markersize=(11 if marker == "*" else 7) * (1.0 if len(run.attempts) <= MANY else 0.7),
            elinewidth=1.0,
            zorder=3,
        )
        steps.append((one.n, max([one.features.mean, *(value for _, value in steps[-1:])])))
    axes.step(
        [n for n, _ in steps], [value for _, value in steps], where="post", color=BLUE, linewidth=1.4, alpha=0.7
    )
    if run.expected_maximum:
        axes.plot(
            range(1, len(run.expected_maximum) + 1), run.expected_maximum, color=ORANGE, linestyle="--", zorder=2
        )


def _flags(axes: Axes, run: RunDiagnosis) -> None:
    """Three rows of squares under the points, and ticks for refused tries."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.075
    rows = {flag: low - step * (place + 1) for place, flag in enumerate(FLAGS)}
    for flag, height in rows.items():
        for one in run.attempts:
            value = getattr(one, flag).value
            if value is not None and one.n is not None:
                face = DARK if value else "white"
                axes.plot(one.n, height, "s", color=DARK, markerfacecolor=face, markersize=5.5, markeredgewidth=0.8)
        axes.annotate(
            flag, (1.005, height), xycoords=("axes fraction", "data"), va="center", fontsize=8, annotation_clip=False
        )
    refused = _refused(run.tries)
    if refused:
        axes.plot(refused, [low] * len(refused), "|", color=RED, markersize=9, markeredgewidth=1.6, clip_on=False)
    axes.set_ylim(low - step * (len(FLAGS) + 0.7), high)


def _refused(tries: Sequence[Diagnosed]) -> list[float]:
    """Where refused tries stand between the attempts around them."""
    places: list[float] = []
    waiting, last = 0, 0
    for one in (*tries, None):
        if one is not None and one.refusal is not None:
            waiting += 1
            continue
        places += [last + (k + 1) / (waiting + 1) for k in range(waiting)]
        waiting, last = 0, one.n if one is not None and one.n is not None else last
    return places


def _legend(run: RunDiagnosis) -> list[Line2D]:
    found = {one.labelled.label for one in run.attempts if one.labelled}
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=8, label=label)
        for label, (marker, colour) in MARKS.items()
        if label in found
    ]
    handles.append(Line2D([], [], color=BLUE, linewidth=1.4, alpha=0.7, label="best so far"))
    if run.expected_maximum:
        handles.append(Line2D([], [], color=ORANGE, linestyle="--", label="best of k random, expected"))
    if _refused(run.tries):
        handles.append(Line2D([], [], linestyle="none", marker="|", color=RED, markersize=9, label="refused"))
    return handles


def search(bands: Sequence[Band]) -> str | None:
    """Best score so far against iterations: the mean over runs, and the band from their smallest to their largest.
    All of one task."""
    if not bands:
        return None
    with drawing(4.2) as (figure, [axes]):
        for band, colour, style in zip(bands, _cycle(len(bands)), _styles(len(bands)), strict=True):
            places = range(1, len(band.mean) + 1)
            if band.runs > 1:
                axes.fill_between(places, band.low, band.high, color=colour, alpha=0.18, linewidth=0, step="post")
            runs = "1 run" if band.runs == 1 else f"{band.runs} runs"
            axes.step(
                places,
                band.mean,
                where="post",
                color=colour,
                linestyle=style,
                label=f"{one_line(band.name, 56)}, {runs}",
            )
        random = max((band.random for band in bands), key=len)
        if random:
            axes.plot(
                range(1, len(random) + 1), random, color=GREY, linestyle=":", label="best of k random, expected"
            )
        whole_numbers(axes, max(len(band.mean) for band in bands))
        axes.set_xlabel("iteration")
        axes.set_ylabel("best public score so far")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return svg(figure)


def _cycle(count: int) -> list[str]:
    colours = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BLACK)
    return [colours[place % len(colours)] for place in range(count)]


def _styles(count: int) -> list[str]:
    return [("-", "--", "-.")[place // 7 % 3] for place in range(count)]


def ribbon(run: RunDiagnosis) -> str | None:
    """Share of each source in the pool and, flowing from attempt to attempt, in the selections; None without both."""
    mixes = [(one.n, one.features.mix) for one in run.attempts if one.n is not None and one.features.mix]
    if not run.pool_mix or not mixes:
        return None
    named = named_sources(run.pool_mix)
    others = [name for name in run.pool_mix if name not in named]
    columns = [(0, run.pool_mix), *mixes]
    shares = [[mix.get(name, 0) / sum(mix.values()) for _, mix in columns] for name in named]
    labels = [name_of(name) for name in named]
    colours = list(SOURCE_COLOURS[: len(named)])
    if others:
        shares.append([sum(mix.get(name, 0) for name in others) / sum(mix.values()) for _, mix in columns])
        labels.append(f"{len(others)} others")
        colours.append(OTHER_COLOUR)
    numbers = [n for n, _ in columns]
    with drawing(3.6) as (figure, [axes]):
        axes.stackplot(numbers, shares, labels=labels, colors=colours, edgecolor="white", linewidth=0.7)
        axes.axvline(0, color=DARK, linewidth=1.1)
        for n in numbers[1:]:
            axes.axvline(n, color="white", linewidth=0.5, alpha=0.6)
        step = 1 if len(numbers) <= MANY else 5
        axes.set_xticks(numbers[::step], ["pool", *(str(n) for n in numbers[1:])][::step])
        axes.set(xlim=(0, numbers[-1]), ylim=(0, 1), xlabel="attempt", ylabel="share of rows")
        figure.legend(loc="outside upper left", ncols=legend_columns(labels))
        return svg(figure)


def patches(labels: Sequence[Label]) -> list[Patch]:
    """Legend entries of labels, as coloured boxes."""
    return [Patch(color=MARKS[label][1], label=label) for label in MARKS if label in labels]
