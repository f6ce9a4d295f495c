"""Scores per benchmark, and public scores against sealed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from curation_harness.record.measures import Scores
from curation_harness.record.models import Headline, ReferenceTable
from curation_harness.record.summary import Summary
from curation_harness.report.figures.canvas import BLUE, GREY, GRID, MANY, ORANGE, RED, drawing, name_of, svg
from curation_harness.report.figures.progress import LINES


def benchmarks(summary: Summary, headline: Headline | None, references: ReferenceTable | None) -> str | None:
    """Scores per benchmark, public and (with a headline) sealed, beside random and base references."""
    best = next((line for line in summary.attempts if line.best and line.public), None)
    if best is None or best.public is None:
        return None
    sealed = headline.sealed.by_benchmark if headline else {}  # some benchmarks may have no public items
    names = sorted({*best.public.by_benchmark, *sealed}, reverse=True)
    with drawing(1.5 + 0.55 * len(names), columns=2 if headline else 1) as (figure, panels):
        rows = {"public": {n: (s.mean, s.stderr) for n, s in best.public.by_benchmark.items()}}
        if headline:
            rows["sealed"] = {n: (s.mean, s.stderr) for n, s in headline.sealed.by_benchmark.items()}
        for axes, (split, own) in zip(panels, rows.items(), strict=True):
            _dots(axes, names, own, 0.0, "o", BLUE, "this run")
            _dots(axes, names, _reference(references, "random", split), 0.2, "D", ORANGE, "random")
            _dots(axes, names, _reference(references, "base", split), -0.2, "s", GREY, "base model")
            what = f"public, attempt {best.n}" if split == "public" else "sealed, headline"
            axes.set_title(what, fontsize=10, loc="left")
            axes.set_yticks(range(len(names)), [name_of(name) for name in names])
            axes.set_ylim(-0.6, len(names) - 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.grid(axis="x", color=GRID, linewidth=0.8)
            axes.set_xlabel("score")
        _same_limits(panels)
        for axes in panels[1:]:
            axes.tick_params(labelleft=False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return svg(figure)


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
    with drawing(4.8) as (figure, [axes]):
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
                label=name_of(reference.name),
            )
        _diagonal(axes)
        figure.legend(loc="outside upper left", ncols=3)
        return svg(figure)


def _diagonal(axes: Axes) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = min(left, bottom), max(right, top)
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=":", zorder=0)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="public score", ylabel="sealed score")
    axes.set_aspect("equal", anchor="W")
