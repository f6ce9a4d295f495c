"""MathVista (testmini): 1,000 questions of mathematics about images; a choice, a number or a list."""

from __future__ import annotations

import math
from collections.abc import Sequence

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.answers import last_list, last_number, literal_texts
from curation_plugins.tasks.llava.benchmarks.benchmark import AnswersIncomplete, Benchmark
from curation_plugins.tasks.llava.benchmarks.fence import fence, fence_rules, read_object
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.options import chosen_option
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_TASK = """\
You are given a question and somebody's answer to it. Find the final result that the answer states. Do not solve \
the question, do not correct the answer, do not add what it does not say. Copy a number in digits without unit, a \
list in square brackets, an option as its letter. If the answer states no result, the result is null.

Examples:
- "The bars add up to thirty-one." to a question for a whole number: {"result": "31"}
- "so the angle is about 52.50 degrees" to a question for a number with one decimal: {"result": "52.5"}
- "It fell from 8 to 3." to a question for a list: {"result": "[8, 3]"}
- "Of the four, (C) fits." to a question with options: {"result": "C"}
- "I cannot read the axis.": {"result": null}

"""
_FORM = 'Reply with one JSON object and nothing else: {"result": text or null}'


class MathVista(Benchmark):
    """The share of right results, where the result is first read out of the answer.

    Three ways to the result, in this order; `route` in an item's parts says which was taken:

    ``prefetch``: the answer is itself a number of the kind asked for, or an option can be read from it (VLMEvalKit
    dataset/utils/mathvista.py L77-104, L110-112; there a bare but wrong number still goes to the judge).
    ``judge``: the judge reads it out (L113-124). It does not see the right result, so that nothing an answer says can
    make it right.
    ``rule``, only without a judge: the last number or list in the answer, our own. VLMEvalKit does nothing without a
    judge (dataset/image_vqa.py L599).

    A result is right by L77-104: options by letter, whole numbers by `int`, others by `float`, with equality (so
    "5.0" is not the whole number 5). Lists are equal texts, by MathVista's own evaluation/calculate_score.py
    (2a249bb, `normalize_extracted_answer`); VLMEvalKit compares the text "None" there and never finds one right
    (L96). An answer without a result is wrong there, here unscored.
    """

    name = "MathVista"
    columns = ("question", "answer", "question_type", "answer_type", "choices", "answer_option")
    max_tokens = 512
    judge_role = "reads"
    md5 = "f199b98e178e5a2a20e7048f5dcb0464"

    def asked(self, item: BenchmarkItem, prediction: str) -> Question | None:
        return _question(item, prediction) if prefetched(item, prediction) is None else None

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        return self.score_all([item], [prediction])[0]

    def score_all(self, items: Sequence[BenchmarkItem], predictions: Sequence[str]) -> list[ItemScore]:
        if len(items) != len(predictions):
            raise AnswersIncomplete(f"{self.name}: {len(predictions)} predictions for {len(items)} items")
        pairs = list(zip(items, predictions, strict=True))
        results = {place: found for place, pair in enumerate(pairs) if (found := prefetched(*pair)) is not None}
        scores = {place: judged_result(items[place], found, "prefetch") for place, found in results.items()}
        open_places = [place for place in range(len(pairs)) if place not in scores]
        if self._judge is None:
            scores.update((place, _by_rule(*pairs[place])) for place in open_places)
        elif open_places:
            replies = self._judge.ask([_question(*pairs[place]) for place in open_places])
            scores.update(
                (place, _by_judge(items[place], said)) for place, said in zip(open_places, replies, strict=True)
            )
        return [scores[place] for place in range(len(pairs))]

    def options(self, row: Row) -> dict[str, str]:
        """The choices as options A, B, …; they are part of the question's text already."""
        if cell(row, "question_type") != "multi_choice":
            return {}
        texts = literal_texts(row["choices"]) or []
        return {chr(ord("A") + place): text for place, text in enumerate(texts)}

    def gold(self, row: Row, where: str) -> str:
        if cell(row, "question_type") != "multi_choice":
            return super().gold(row, where)
        letter = cell(row, "answer_option")
        if letter not in self.options(row):
            raise AssetsInvalid(f"{where}: answer_option {letter!r} is none of the choices {row['choices']!r}")
        return letter

    def facts(self, row: Row, where: str) -> dict[str, str]:
        skills = literal_texts(cell(row, "skills"))
        return {
            "answer_type": cell(row, "answer_type"),
            "task": cell(row, "task"),
            "skills": ",".join(skills) if skills is not None else cell(row, "skills"),
        }

    def facets(self, item: BenchmarkItem) -> tuple[str, ...]:
        """Task and skills (L134-150)."""
        skills = [skill for skill in item.facts["skills"].split(",") if skill]
        return (f"task/{item.facts['task']}", *(f"skill/{skill}" for skill in skills))


def prefetched(item: BenchmarkItem, prediction: str) -> str | None:
    """The result, if the answer can be read as it is; None otherwise."""
    if item.options:
        return chosen_option(prediction, item.options)
    number = {"integer": _whole, "float": _decimal}.get(item.facts["answer_type"])
    return prediction if number is not None and number(prediction) is not None else None


def judged_result(item: BenchmarkItem, result: str, route: str) -> ItemScore:
    """Whether a result that was read out is the right one; unscored if it is not of the kind asked for."""
    kind = item.facts["answer_type"]
    if item.options:
        chosen = chosen_option(result, item.options)
        right = None if chosen is None else chosen == item.answer
    elif kind == "integer":
        whole = _whole(result)
        right = None if _decimal(result) is None else whole is not None and whole == _whole(item.answer)
    elif kind == "float":
        decimal = _decimal(result)
        right = None if decimal is None else decimal == _decimal(item.answer)
    else:
        right = result.strip() == item.answer
    if right is None:
        return ItemScore.none("answer", "the result is not of the kind asked for", route=route, result=result[:200])
    return ItemScore.of(float(right), route=route, result=result[:200])


def _by_rule(item: BenchmarkItem, prediction: str) -> ItemScore:
    if item.options:
        result = None
    elif item.facts["answer_type"] in ("integer", "float"):
        result = last_number(prediction)
    else:
        result = last_list(prediction)
    if result is None:
        return ItemScore.none("answer", "no result can be read from the answer", route="rule")
    return judged_result(item, result, "rule")


def _question(item: BenchmarkItem, prediction: str) -> Question:
    text, code = fence({"QUESTION": item.question, "ANSWER": prediction})
    return Question(system=f"{_TASK}{fence_rules(code)}\n\n{_FORM}", user=f"{text}\n\n{_FORM}")


def _by_judge(item: BenchmarkItem, replies: Sequence[str]) -> ItemScore:
    """The mean over the calls that can be read; one that finds no result counts as wrong beside others that do."""
    read = [value["result"] for reply in replies if (value := read_object(reply, ("result",))) is not None]
    results = [result for result in read if result is None or isinstance(result, str)]
    if not results:
        return ItemScore.none("judge", "no reply of the judge is of the demanded form", route="judge")
    scores = [judged_result(item, result, "judge") for result in results if result is not None]
    values = [score.value for score in scores if score.value is not None]
    if not values:
        return ItemScore.none(
            "answer", "the judge finds no result of the kind asked for in the answer", route="judge"
        )
    shown = next(score.parts["result"] for score in scores if score.value is not None)
    return ItemScore.of(
        math.fsum(values) / len(results), route="judge", result=shown, calls=len(replies), read=len(results)
    )


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _decimal(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
