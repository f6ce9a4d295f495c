"""Benchmarks that a judge grades: asking it, averaging its grades, and what it could not be understood about."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

from curation_plugins.tasks.llava.benchmarks.benchmark import AnswersIncomplete, Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.score import ItemScore


class GradedBenchmark(Benchmark):
    """Every answer is graded by the judge; without a judge every item is unscored, never wrong."""

    judge_role = "grades"

    @abstractmethod
    def question(self, item: BenchmarkItem, prediction: str) -> Question:
        """What the judge is asked about an answer."""

    @abstractmethod
    def grades(self, reply: str) -> tuple[float, ...] | None:
        """The grades in one reply, always equally many; None if it is not of the demanded form."""

    @abstractmethod
    def graded_score(self, grades: tuple[float, ...]) -> ItemScore:
        """The score from grades averaged over the judge's calls."""

    def asked(self, item: BenchmarkItem, prediction: str) -> Question | None:
        return self.question(item, prediction)

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        return self.score_all([item], [prediction])[0]

    def score_all(self, items: Sequence[BenchmarkItem], predictions: Sequence[str]) -> list[ItemScore]:
        if len(items) != len(predictions):
            raise AnswersIncomplete(f"{self.name}: {len(predictions)} predictions for {len(items)} items")
        if self._judge is None:
            return [ItemScore.none("judge", "no judge is set up") for _ in items]
        questions = [self.question(item, answer) for item, answer in zip(items, predictions, strict=True)]
        return [self._from_replies(replies) for replies in self._judge.ask(questions)]

    def _from_replies(self, replies: Sequence[str]) -> ItemScore:
        """The mean over the calls whose reply can be read; unscored if none can (VLMEvalKit says 0 or −1)."""
        read = [grades for grades in map(self.grades, replies) if grades is not None]
        if not read:
            return ItemScore.none("judge", "no reply of the judge is of the demanded form", calls=len(replies))
        means = tuple(math.fsum(column) / len(read) for column in zip(*read, strict=True))
        score = self.graded_score(means)
        parts = {**score.parts, "calls": float(len(replies)), "read": float(len(read))}
        return score.model_copy(update={"parts": parts})
