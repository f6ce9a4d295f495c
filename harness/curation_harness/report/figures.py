"""The report's figures, as SVG text. The only module that imports matplotlib.

Every figure is deterministic: the same numbers give the same bytes. Colours are those of Okabe & Ito
(2008), which readers with any common colour blindness can tell apart; shapes differ where colours
do. Names come from tasks, so nothing in a label is read as mathematics. Text sizes suit the width
that ``html`` shows them at.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from curation_harness.record.models import Headline, ReferenceTable, Scores
from curation_harness.record.summary import AttemptLine, Summary
from curation_harness.report.plain import one_line

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, YELLOW, BLACK, GREY, DARK = "#56B4E9", "#F0E442", "#000000", "#8C8C8C", "#1F1F1F"
SOURCE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK)
OTHER_COLOUR = "#BBBBBB"
LINES = ("base", "random", "full")
"""References drawn as lines; all of them are in the table."""
WIDTH = 7.6
"""Inches."""
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
def _drawing(height: float, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    with mpl.rc_context(cast(Any, _STYLE)):  # newer stubs name every key, older ones do not
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        yield figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _name(text: str) -> str:
    return one_line(text, 24)


def _whole_numbers(axes: Axes, count: int) -> None:
    axes.set_xlim(0.4, count + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.set_xlabel("attempt")


# -- the run ---------------------------------------------------------------------------------------


def progress(summary: Summary) -> str | None:
    """Public score of every attempt, best so far, and what random selections would reach.

    None without scores.
    """
    scored = [line for line in summary.attempts if line.public]
    if not scored:
        return None
    with _drawing(4.2) as (figure, [axes]):
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
        _whole_numbers(axes, count)
        axes.set_ylabel("public score")
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return _svg(figure)


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
            f" {_name(line.name)} {line.public:.3f}",
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


# -- scores ----------------------------------------------------------------------------------------


def benchmarks(summary: Summary, headline: Headline | None, references: ReferenceTable | None) -> str | None:
    """Scores per benchmark, public and (with a headline) sealed, beside random and base references."""
    best = next((line for line in summary.attempts if line.best and line.public), None)
    if best is None or best.public is None:
        return None
    names = sorted(best.public.by_benchmark, reverse=True)
    with _drawing(1.5 + 0.55 * len(names), columns=2 if headline else 1) as (figure, panels):
        rows = {"public": {n: (s.mean, s.stderr) for n, s in best.public.by_benchmark.items()}}
        if headline:
            rows["sealed"] = {n: (s.mean, s.stderr) for n, s in headline.sealed.by_benchmark.items()}
        for axes, (split, own) in zip(panels, rows.items(), strict=True):
            _dots(axes, names, own, 0.0, "o", BLUE, "this run")
            _dots(axes, names, _reference(references, "random", split), 0.2, "D", ORANGE, "random")
            _dots(axes, names, _reference(references, "base", split), -0.2, "s", GREY, "base model")
            what = f"public, attempt {best.n}" if split == "public" else "sealed, headline"
            axes.set_title(what, fontsize=10, loc="left")
            axes.set_yticks(range(len(names)), [_name(name) for name in names])
            axes.set_ylim(-0.6, len(names) - 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
            axes.set_xlabel("score")
        _same_limits(panels)
        for axes in panels[1:]:
            axes.tick_params(labelleft=False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return _svg(figure)


Bars = Mapping[str, tuple[float, float]]
"""Mean and half width of the error bar, by benchmark."""


def _dots(axes: Axes, names: Sequence[str], bars: Bars, shift: float, marker: str, colour: str, label: str) -> None:
    known = [(place + shift, *bars[name]) for place, name in enumerate(names) if name in bars]
    if known:
        axes.errorbar(
            [mean for _, mean, _ in known],
            [place for place, _, _ in known],
            xerr=[half for _, _, half in known],
            fmt=marker,
            color=colour,
            markersize=5,
            elinewidth=1.2,
            label=label,
        )


def _reference(references: ReferenceTable | None, name: str, split: str) -> Bars:
    """Mean over seeds and its standard deviation; the items' standard error where there is one seed."""
    arm = references.arm(name) if references else None
    if arm is None or not arm.seeds:
        return {}
    halves: list[Scores] = [seed.public if split == "public" else seed.sealed for seed in arm.seeds]
    bars: dict[str, tuple[float, float]] = {}
    for benchmark in halves[0].by_benchmark:
        means = [half.by_benchmark[benchmark].mean for half in halves]
        mean = sum(means) / len(means)
        spread = sum((value - mean) ** 2 for value in means) / max(1, len(means) - 1)
        stderr = halves[0].by_benchmark[benchmark].stderr
        bars[benchmark] = (mean, spread**0.5 if len(means) > 1 else stderr)
    return bars


def _same_limits(panels: Sequence[Axes]) -> None:
    limits = [axes.get_xlim() for axes in panels]
    for axes in panels:
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def public_and_sealed(summary: Summary, headline: Headline | None) -> str | None:
    """Every attempt's public against its sealed score; None if no attempt has both."""
    both = [line for line in summary.attempts if line.public and line.sealed]
    if not both:
        return None
    with _drawing(4.8) as (figure, [axes]):
        for line in both:
            assert line.public is not None
            assert line.sealed is not None
            axes.errorbar(
                line.public.mean,
                line.sealed.mean,
                xerr=line.public.stderr,
                yerr=line.sealed.stderr,
                fmt="o",
                color=BLUE,
                markersize=5,
                elinewidth=0.9 if len(both) <= MANY else 0.4,
                alpha=0.8,
                label="attempt" if line is both[0] else None,
            )
            if len(both) <= MANY:
                axes.annotate(
                    str(line.n),
                    (line.public.mean, line.sealed.mean),
                    xytext=(5, 5),
                    textcoords="offset points",
                    fontsize=9,
                )
        if headline:
            axes.errorbar(
                headline.public.mean,
                headline.sealed.mean,
                xerr=headline.public.stderr,
                yerr=headline.sealed.stderr,
                fmt="*",
                color=RED,
                markersize=12,
                label=f"headline: attempt {headline.attempt}, fresh seeds",
                zorder=4,
            )
        known = [line for line in summary.references if line.name in LINES]
        for reference, marker in zip(known, "sDv", strict=False):
            axes.plot(
                reference.public,
                reference.sealed,
                marker,
                color=GREY,
                markersize=6,
                label=_name(reference.name),
            )
        _diagonal(axes)
        figure.legend(loc="outside upper left", ncols=3)
        return _svg(figure)


def _diagonal(axes: Axes) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = min(left, bottom), max(right, top)
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=":", zorder=0)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="public score", ylabel="sealed score")
    axes.set_aspect("equal")


# -- the selections --------------------------------------------------------------------------------


def source_mix(pool: Mapping[str, int], mixes: Mapping[int, Mapping[str, int]]) -> str | None:
    """Share of each source in the pool and in each attempt's selection (by attempt number)."""
    if not pool or not mixes:
        return None
    order = sorted(pool, key=lambda name: (-pool[name], name))
    named = order if len(order) <= len(SOURCE_COLOURS) else order[: len(SOURCE_COLOURS) - 1]
    bars = [("pool", pool), *((str(n), mix) for n, mix in mixes.items())]
    thickness = 0.34 if len(bars) <= MANY else 0.17
    with _drawing(1.5 + thickness * len(bars)) as (figure, [axes]):
        left = [0.0] * len(bars)
        for name, colour in [*zip(named, SOURCE_COLOURS, strict=False), ("", OTHER_COLOUR)]:
            shares = [
                _share(mix, [name] if name else [other for other in order if other not in named]) for _, mix in bars
            ]
            if name or any(shares):
                label = _name(name) if name else f"{len(order) - len(named)} others"
                places = [-place - (0.35 if place == 0 else 0.8) for place in range(len(bars))]
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
        axes.set_yticks(places, [label for label, _ in bars], fontsize=9 if len(bars) <= MANY else 6)
        axes.set(xlim=(0, 1), ylim=(places[-1] - 0.6, 0.15), xlabel="share of rows", ylabel="attempt")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        figure.legend(loc="outside upper left", ncols=4)
        return _svg(figure)


def _share(mix: Mapping[str, int], names: Sequence[str]) -> float:
    return sum(mix.get(name, 0) for name in names) / max(1, sum(mix.values()))


def overlap(numbers: Sequence[int], matrix: Sequence[Sequence[float]]) -> str | None:
    """Jaccard index of each two selections; None for fewer than two attempts."""
    if len(numbers) < 2:
        return None
    with _drawing(4.6) as (figure, [axes]):
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
        axes.set(xlabel="attempt", ylabel="attempt")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="shared rows / all rows of both", shrink=0.85)
        return _svg(figure)


def truth(summary: Summary, references: ReferenceTable | None) -> str | None:
    """Precision and recall against planted truth; None where a task has none."""
    known = [(line.n, line.truth) for line in summary.attempts if line.truth]
    if not known:
        return None
    with _drawing(3.6) as (figure, [axes]):
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
        _whole_numbers(axes, len(summary.attempts))
        axes.set(ylim=(-0.02, 1.02), ylabel="share")
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return _svg(figure)
