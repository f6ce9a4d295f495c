"""The headline beside references and what others published: differences, places on one scale, gains, noise."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from curation_harness.record.measures import Difference, Spread
from curation_harness.record.summary import Summary
from curation_harness.report.figures.canvas import BLUE, DARK, GREY, GRID, ORANGE, PURPLE, RED, drawing, name_of, svg


def differences(summary: Summary) -> str | None:
    """The headline minus each reference, on sealed and on all items; None without comparisons."""
    analysis = summary.sealed.analysis if summary.sealed else None
    if analysis is None or not analysis.differences:
        return None
    names = [line.name for line in reversed(summary.references) if analysis.against(line.name, "sealed")]
    with drawing(1.5 + 0.42 * len(names)) as (figure, [axes]):
        random = analysis.against("random", "sealed")
        if random is not None:
            label = "cannot be detected against random"
            axes.axvspan(-random.detectable, random.detectable, color=GRID, zorder=0, label=label)
        axes.axvline(0, color=GREY, linewidth=1.1, linestyle=":")
        sealed = [found for name in names if (found := analysis.against(name, "sealed"))]
        both = [found for name in names if (found := analysis.against(name, "all"))]
        _intervals(axes, sealed, 0.12, "o", BLUE, "sealed items")
        _intervals(axes, both, -0.16, "s", PURPLE, "all items")
        axes.set_yticks(range(len(names)), [name_of(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel("headline minus reference, with 95% interval")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=3)
        return svg(figure)


def _intervals(axes: Axes, found: list[Difference], shift: float, marker: str, colour: str, label: str) -> None:
    axes.errorbar(
        [one.difference for one in found],
        [place + shift for place in range(len(found))],
        xerr=[
            [one.difference - one.interval.low for one in found],
            [one.interval.high - one.difference for one in found],
        ],
        fmt=marker,
        color=colour,
        markersize=5,
        elinewidth=1.3,
        label=label,
    )


def standing(summary: Summary) -> str | None:
    """Every score on all items on one scale, what others published marked as such; None without a headline."""
    if summary.sealed is None or not (summary.references or summary.published):
        return None
    ours = [(line.name, line.all_items, line.all_items_sd) for line in summary.references]
    count = 1 + len(ours) + len(summary.published)
    with drawing(1.4 + 0.36 * count) as (figure, [axes]):
        both = summary.sealed.all_items
        entries: list[tuple[str, float, float | None, str, str, str]] = [
            ("this run", both.mean, both.stderr, "o", BLUE, "this run, ± standard error")
        ]
        entries += [(name, mean, sd, "D", ORANGE, "references measured, ± sd over seeds") for name, mean, sd in ours]
        entries += [(p.name, p.score, None, "x", RED, "published by others") for p in summary.published]
        entries.sort(key=lambda entry: entry[1])
        told: set[str] = set()
        for place, (_, mean, half, marker, colour, label) in enumerate(entries):
            axes.errorbar(
                mean,
                place,
                xerr=half,
                fmt=marker,
                color=colour,
                markersize=7 if marker == "x" else 6,
                elinewidth=1.3,
                label=None if label in told else label,
            )
            axes.annotate(
                f"{mean:.3f}",
                (mean + (half or 0), place),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
            told.add(label)
        axes.set_yticks(range(count), [name_of(name) for name, *_ in entries])
        axes.set_ylim(-0.6, count - 0.4)
        axes.margins(x=0.12)
        axes.set_xlabel("score on all items, public and sealed")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=3)
        return svg(figure)


def shrinkage(summary: Summary) -> str | None:
    """The gain over random where the attempt was chosen and where it was not; None if it was not measured."""
    analysis = summary.sealed.analysis if summary.sealed else None
    found = analysis.shrinkage if analysis else None
    if found is None:
        return None
    with drawing(3.0) as (figure, [axes]):
        if found.by_chance is not None:
            axes.plot(
                [0, 1],
                [found.by_chance, 0],
                color=ORANGE,
                linestyle="--",
                marker="D",
                markersize=5,
                label="best of as many random selections, expected",
            )
        axes.plot(
            [0, 1], [found.public_gain, found.sealed_gain], "o-", color=BLUE, markersize=7, label="the chosen attempt"
        )
        half = (found.interval.high - found.interval.low) / 2
        axes.errorbar(
            1,
            found.sealed_gain,
            yerr=half,
            fmt="none",
            color=BLUE,
            elinewidth=1.2,
            label="95% interval of the change",
        )
        axes.axhline(0, color=GREY, linewidth=1.1, linestyle=":")
        axes.set_xticks([0, 1], ["public items,\nas it was chosen", "sealed items,\nfresh seeds"])
        axes.set_xlim(-0.35, 1.35)
        axes.set_ylabel("gain over random")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        figure.legend(loc="outside upper left", ncols=2)
        return svg(figure)


def noise(summary: Summary) -> str | None:
    """Every score behind σ_train and σ_eval, about its mean; None if it was not measured."""
    found = summary.noise
    if found is None:
        return None
    rows: list[tuple[str, Spread]] = [
        ("trained again,\nother seeds", found.train["all"]),
        ("evaluated again,\nsame model", found.evaluate["all"]),
    ]
    with drawing(2.4) as (figure, [axes]):
        for place, (_, spread) in enumerate(reversed(rows)):
            mean = sum(spread.values) / len(spread.values)
            values = [value - mean for value in spread.values]
            axes.plot(
                [-spread.sd, spread.sd], [place, place], color=BLUE, linewidth=5, alpha=0.25, solid_capstyle="butt"
            )
            axes.plot(values, [place] * len(values), "o", color=BLUE, markersize=6, alpha=0.75)
            axes.annotate(
                f"  sd {spread.sd:.4f}", (1.0, place), xycoords=("axes fraction", "data"), va="center", color=DARK
            )
        axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.axvline(0, color=GREY, linewidth=1.1, linestyle=":")
        axes.set_xlabel("score on all items, less the mean of its row")
        axes.margins(x=0.1)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        return svg(figure)
