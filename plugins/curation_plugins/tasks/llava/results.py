"""From answers to the lines of an item file, and from the answers that were kept to the same lines again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult, Prediction, read_predictions
from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.registry import benchmark
from curation_plugins.tasks.llava.benchmarks.replies import Grader, Replies
from curation_plugins.tasks.llava.benchmarks.score import ItemScore, Unit


def results(items: Sequence[BenchmarkItem], answers: Sequence[str], judge: Grader | None) -> list[dict[str, Any]]:
    """One line an item (`curation_plugins.jobs.ItemResult`), in the order of the items.

    What a benchmark's metrics count stands with the first item of its group and benchmark; the other items of the
    group count nothing beside it.

    Raises:
        JudgeUnavailable: a judge is needed and does not answer.
        AnswersIncomplete: copies of a question are missing.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        places[item.benchmark].append(place)
    lines: list[dict[str, Any]] = [{} for _ in items]
    for name, of_name in places.items():
        scorer = benchmark(name, judge)
        asked = [items[place] for place in of_name]
        scores = scorer.score_all(asked, [answers[place] for place in of_name])
        units = _units(scorer, asked, scores)
        for place, score, counted in zip(of_name, scores, units, strict=True):
            lines[place] = {
                "benchmark": name,
                "item": items[place].item,
                "group": items[place].group,
                "score": score.value,
                "unscored": score.unscored,
                "reason": score.reason,
                "prediction": answers[place],
                **({} if counted is None else {"units": counted}),
            }
    return lines


def _units(
    scorer: Benchmark, items: Sequence[BenchmarkItem], scores: Sequence[ItemScore]
) -> list[list[dict[str, Any]] | None]:
    """The units that stand with each item; none where an item's score is counted as it is."""
    if type(scorer).units is Benchmark.units:
        return [None] * len(items)
    by_group: dict[str, list[Unit]] = defaultdict(list)
    for unit in scorer.units(list(zip(items, scores, strict=True))):
        by_group[unit.group].append(unit)
    return [[_line(unit) for unit in by_group.pop(item.group, [])] for item in items]


def _line(unit: Unit) -> dict[str, Any]:
    return unit.model_dump(exclude={"group"})


def predictions(
    items: Sequence[BenchmarkItem], answers: Sequence[str], replies: Replies | None
) -> Iterator[dict[str, Any]]:
    """One line an item (`curation_plugins.jobs.Prediction`): the text, or ``{"text", "judge"}`` where a judge was
    asked about it.

    Args:
        replies: what the judge said while these answers were scored; none: there is none.
    """
    for item, text in zip(items, answers, strict=True):
        asked = benchmark(item.benchmark).asked(item, text) if replies is not None else None
        answer = text if replies is None or asked is None else {"text": text, "judge": replies.take(asked)}
        yield {"benchmark": item.benchmark, "item": item.item, "answer": answer}


def rescore(path: Path, items: Sequence[BenchmarkItem], judged: bool) -> Iterator[ItemResult]:
    """Scores these items again, by the answers kept in a file of `predictions`; no judge is asked.

    Args:
        judged: whether there was a judge.

    Raises:
        WorkerReplyInvalid: the file is damaged, not of these items, or lacks a judge's reply.
    """
    answers, replies = list[str](), list[tuple[Question, list[str]]]()
    said = list(read_predictions(path))
    if [(one.benchmark, one.item) for one in said] != [(item.benchmark, item.item) for item in items]:
        raise WorkerReplyInvalid(f"{path.name}: the predictions are not of the items of this half, in their order")
    for number, (one, item) in enumerate(zip(said, items, strict=True), start=1):
        text, told = _answer(one, f"{path.name}, line {number}")
        answers.append(text)
        asked = benchmark(item.benchmark).asked(item, text) if judged else None
        if asked is not None and told is not None:
            replies.append((asked, told))
    for line in results(items, answers, Replies(replies) if judged else None):
        yield ItemResult.model_validate(line)


def _answer(said: Prediction, where: str) -> tuple[str, list[str] | None]:
    """The text, and the judge's replies to it."""
    match said.answer:
        case str(text):
            return text, None
        case {"text": str(text), "judge": [*replies]} if all(isinstance(reply, str) for reply in replies):
            return text, [str(reply) for reply in replies]
    raise WorkerReplyInvalid(f"{where}: the answer is neither a text nor one with a judge's replies")
