"""``report.html``: the whole run in one self-contained file.

The page holds no script and loads nothing: style sheet inline, images as ``data:`` URIs, and a content
security policy that forbids the rest. Jinja escapes every value, and before that every string,
whoever wrote it, goes through ``plain.visible``; only what this module marks as ``Markup`` is left
alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from curation_harness.record import files
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import Summary
from curation_harness.report import findings, wording
from curation_harness.report.content import Content, gather
from curation_harness.report.figures import benchmarks, comparison, progress, selections
from curation_harness.report.plain import one_line, visible
from curation_harness.report.pool import view
from curation_harness.report.steps import event_of, facts, sums, who
from curation_plugins.api import Task

REPORT = "report.html"
SHOWN_STEPS = 1000
"""Steps of one conversation in the report; more are in ``trajectory.json``."""
STEP_CHARACTERS = 3000
"""Characters shown of one text of a step."""
TABLE_BENCHMARKS = 8
"""Benchmarks with a column in the overview; with more, they stand under each attempt only."""


def write_report(record: RunRecord, task: Task | None, assets: Path | None) -> Path:
    """Write ``report.html`` into the run's folder and return its path.

    Without the task, or without its files, the report lacks the chosen rows and the source mix, and says so.

    Raises:
        RecordInvalid: a file of the record is missing or damaged.
        OSError: the run's folder cannot be written.
    """
    content = gather(record, view(record.spec, task, assets))
    path = record.folder / REPORT
    files.write(path, render(content).encode())
    return path


def render(content: Content) -> str:
    """The page as text."""
    summary = content.summary
    names = {name for line in summary.attempts if line.public for name in line.public.by_benchmark}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            summary=summary,
            spec=content.record.spec,
            figures=tuple(embedded(_drawn(content))),
            shown_steps=SHOWN_STEPS,
            step_characters=STEP_CHARACTERS,
            benchmarks=sorted(names) if len(names) <= TABLE_BENCHMARKS else [],
        )
    )


def environment() -> Environment:
    """Templates of the pages: everything is escaped, and control characters are written out."""
    environment = Environment(
        loader=PackageLoader("curation_harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        score=lambda found: wording.score(found.mean, found.stderr) if found else wording.NOTHING,
        mean_sd=lambda mean, sd: wording.score(mean, sd),
        outcome=wording.outcome,
        duration=wording.duration,
        moment=wording.moment,
        audited=wording.audited,
        spent=wording.spent,
        seeds=wording.seeds,
        short=one_line,
        size=_size,
        event_of=event_of,
        facts=facts,
        who=who,
        sums=sums,
        uri=Markup,  # for ``pool.Card.image``, which is made of a fixed prefix and base64
    )
    environment.globals.update(headline=wording.headline, noise=wording.noise, findings=findings)
    return environment


def _clean(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def _size(count: int) -> str:
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"


# -- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FigureView:
    name: str
    title: str
    caption: str
    """How to read it."""
    image: Markup
    """``data:`` URI."""


Drawn = tuple[str, str, str, str | None]
"""(name, title, caption, SVG); no SVG: there is nothing to draw."""


def embedded(drawn: Iterable[Drawn]) -> Iterator[FigureView]:
    """Figures as a page holds them, those without anything to draw left out."""
    for name, title, caption, svg in drawn:
        if svg is not None:
            encoded = base64.b64encode(svg.encode()).decode()
            image = Markup(f"data:image/svg+xml;base64,{encoded}")
            yield FigureView(name=name, title=title, caption=caption, image=image)


def _drawn(content: Content) -> Iterator[Drawn]:
    summary, references = content.summary, content.references
    numbers = [page.line.n for page in content.attempts]
    mixes = {page.line.n: page.mix for page in content.attempts if page.mix is not None}
    yield (
        "progress",
        "Did the attempts get better?",
        _progress_caption(content),
        progress.progress(summary),
    )
    yield (
        "benchmarks",
        "Where does the score come from?",
        "The best attempt by public score, and its headline on sealed items, per benchmark. Bars: one"
        " standard error for this run, one standard deviation over seeds for the references.",
        benchmarks.benchmarks(summary, content.headline, references),
    )
    yield (
        "public-and-sealed",
        "Do public scores hold on sealed items?",
        "On the dotted line both scores are equal. Points well below it did better on the items that gave"
        " feedback than on those that did not. The best attempt was chosen by public score, so its own point"
        " leans to the right; the headline was trained again. Bars: one standard error.",
        benchmarks.public_and_sealed(summary, content.headline),
    )
    yield from _compared(summary)
    yield (
        "source-mix",
        "What was the data made of?",
        "Share of each source among the chosen rows, attempt by attempt, under the pool's own.",
        selections.source_mix(content.pool_mix or {}, mixes),
    )
    yield (
        "overlap",
        "How much did the selections change?",
        "Rows that two selections share, out of all rows of both: 1 for the same rows, 0 for none in"
        " common. Two random selections of a share p of the pool overlap by about p / (2 - p).",
        selections.overlap(numbers, content.overlap),
    )
    yield (
        "truth",
        "Were good rows found?",
        "Against the defects planted in the pool, which the agent is never told. Recall counts against the"
        " most good rows that a selection of the allowed size can hold.",
        selections.truth(summary, references),
    )


_PUBLISHED = " Crosses were published by others, measured with their own software, and can be compared by eye only."


def _compared(summary: Summary) -> Iterator[Drawn]:
    yield (
        "differences",
        "How far is it from each reference?",
        "Right of zero the headline is better. An interval that touches zero is no evidence of a difference."
        " Intervals hold the choice of items, paired and by group, and the training of both sides.",
        comparison.differences(summary),
    )
    yield (
        "standing",
        "Where does it stand on all items?",
        "Public and sealed items as one set, the set that published tables are about."
        + (_PUBLISHED if summary.published else ""),
        comparison.standing(summary),
    )
    yield (
        "shrinkage",
        "Is the gain there on items nobody was told of?",
        "The gain over random of the attempt with the best public score, and of the same rows trained again on sealed"
        " items. A flat line is a real gain; one that falls like the dashed line was luck in choosing.",
        comparison.shrinkage(summary),
    )
    yield (
        "noise",
        "How much does a score move by itself?",
        "One random selection trained under several seeds, and one trained model evaluated several times. The bars"
        " are one standard deviation to both sides.",
        comparison.noise(summary),
    )


def _progress_caption(content: Content) -> str:
    summary = content.summary
    text = (
        "Each point is one attempt on the public items, with one standard error; the step is the best so"
        " far. Attempts share their items and their training seed, so compare differences with the noise"
        " floor rather than with the bars. "
    )
    text += wording.noise(summary)
    if summary.random_search:
        text += (
            " The dashed line is the best score to be expected from as many random selections, from"
            f" {summary.random_search.draws} measured ones (beyond that many as if they were normal): an agent that"
            " curates stays above it."
        )
    else:
        text += " Too few random selections were measured to draw what searching at random would reach."
    return text
