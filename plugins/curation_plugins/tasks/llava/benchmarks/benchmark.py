"""What a benchmark is: how its file is read, its answers scored, its scores put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from curation_plugins.errors import AssetsInvalid, WorkFailed
from curation_plugins.tasks.llava.benchmarks.groups import image_ties, text_tie
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.pictures import PictureBook
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle, images_first, open_prompt
from curation_plugins.tasks.llava.benchmarks.replies import Grader
from curation_plugins.tasks.llava.benchmarks.score import (
    READINGS,
    BenchmarkScore,
    ItemScore,
    Reading,
    Unit,
    combine,
    mean_of_metrics,
    tally,
)
from curation_plugins.tasks.llava.benchmarks.tsv import Row, TsvFile, cell

Scored = tuple[BenchmarkItem, ItemScore]


class AnswersIncomplete(WorkFailed):
    """Items and predictions or scores do not fit together: we lost some."""


class Benchmark(ABC):
    """A public benchmark. A subclass says which columns it needs, how it asks and how it scores one answer."""

    name: str
    columns: ClassVar[tuple[str, ...]]
    """Columns the file must have besides `index`."""
    max_tokens: ClassVar[int]
    """Default limit of a generated answer."""
    md5: ClassVar[str]
    """Of the file VLMEvalKit names (its `DATASET_MD5`)."""
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    """The score is the unweighted mean of these."""
    judge_role: ClassVar[Literal["none", "reads", "grades"]] = "none"
    """What a judge does: read the result out of an answer, or grade it. Scores that are a judge's opinion
    (``grades``) are left out of the headline without judge."""

    def __init__(self, judge: Grader | None = None) -> None:
        """A scorer; the judge is asked only where `judge_role` says so."""
        self._judge = judge

    @property
    def judged(self) -> bool:
        """Whether a judge has a say in this benchmark's scores as it is set up."""
        return self.judge_role != "none" and self._judge is not None

    def items(
        self, source: TsvFile, folder: Path, style: PromptStyle = "dataset", max_tokens: int | None = None
    ) -> Iterator[BenchmarkItem]:
        """The items in file order; their images are written below `folder`. `group` is still empty.

        Rows without an image are left out, as VLMEvalKit does (dataset/image_base.py L153-155, `skip_noimg`).

        Raises:
            AssetsInvalid: see `TsvFile.rows` and `PictureBook.read`; or the file holds no item.
        """
        needed = ("image", *self.columns)
        book = PictureBook(folder, source.path.name)
        book.read(source.rows(needed))
        count = 0
        for row in source.rows(needed):
            pictures = book.of(row["index"])
            if not pictures or not self.keeps(row):
                continue
            where = f"{source.path.name}, row with index {row['index']}"
            options = self.options(row)
            count += 1
            yield BenchmarkItem(
                benchmark=self.name,
                item=row["index"],
                ties=(
                    *self.question_ties(row, where),
                    *image_ties(picture.pixels for picture in pictures),
                    *text_tie(cell(row, "hint") + row["question"], options.values()),
                ),
                prompt=self.prompt(row, options, len(pictures), style, where),
                images=tuple(picture.path for picture in pictures),
                max_tokens=max_tokens or self.max_tokens,
                question=row["question"],
                options=options,
                answer=self.gold(row, where),
                facts=self.facts(row, where),
            )
        if not count:
            raise AssetsInvalid(f"{source.path.name} holds no item of {self.name}")

    @abstractmethod
    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        """What one answer is worth. Never guesses: what cannot be read is unscored."""

    def asked(self, item: BenchmarkItem, prediction: str) -> Question | None:
        """What a judge is asked about an answer, where there is one; none: nothing."""
        return None

    def score_all(self, items: Sequence[BenchmarkItem], predictions: Sequence[str]) -> list[ItemScore]:
        """Scores in the order of the items.

        Raises:
            AnswersIncomplete: not one prediction an item.
            JudgeUnavailable: a judge is needed and does not answer; nothing is scored as wrong for it.
        """
        if len(items) != len(predictions):
            raise AnswersIncomplete(f"{self.name}: {len(predictions)} predictions for {len(items)} items")
        return [self.score(item, prediction) for item, prediction in zip(items, predictions, strict=True)]

    def units(self, scored: Sequence[Scored]) -> list[Unit]:
        """What the metrics count. Resample units by `group` for a clustered bootstrap (`score.tally`, `combine`)."""
        return [
            Unit(metric=self.metrics[0], group=item.group, value=score.value, unscored=score.unscored)
            for item, score in scored
        ]

    def aggregate(self, scored: Sequence[Scored]) -> BenchmarkScore:
        """The benchmark's score in all three readings, with its own categories."""
        scores = [score for _, score in scored]
        faults = [score.unscored for score in scores]
        units = self.units(scored)
        values = {reading: self.value(units, reading) for reading in READINGS}
        known = combine(tally(units).values())
        return BenchmarkScore(
            benchmark=self.name,
            value=values["standard"],
            as_wrong=values["as_wrong"] if faults.count("judge") < len(faults) else None,
            left_out=values["left_out"],
            items=len(scores),
            unscored_answer=faults.count("answer"),
            unscored_judge=faults.count("judge"),
            judged=self.judged,
            metrics={name: known.get(name) for name in self.metrics},
            breakdown=self._breakdown(scored),
        )

    def value(self, units: Sequence[Unit], reading: Reading = "standard") -> float | None:
        """The score of these units; None if a metric has nothing to count."""
        return mean_of_metrics(combine(tally(units, reading).values()), self.metrics)

    def _breakdown(self, scored: Sequence[Scored]) -> dict[str, float | None]:
        parts: dict[str, list[Scored]] = {}
        for item, score in scored:
            for facet in self.facets(item):
                parts.setdefault(facet, []).append((item, score))
        return {facet: self.value(self.units(part)) for facet, part in sorted(parts.items())}

    def keeps(self, row: Row) -> bool:
        """Whether the row belongs to the benchmark as the public tables count it."""
        return True

    def options(self, row: Row) -> dict[str, str]:
        """Option letter to text."""
        return {}

    def prompt(
        self, row: Row, options: Mapping[str, str], images: int, style: PromptStyle, where: str
    ) -> tuple[int | str, ...]:
        """Text and image places; by default all images, then the bare question (VLMEvalKit dataset/image_base.py
        L319-337)."""
        return images_first(open_prompt(style, row["question"]), images)

    def question_ties(self, row: Row, where: str) -> tuple[str, ...]:
        """Ties with other rows beyond shared images and equal text."""
        return ()

    def gold(self, row: Row, where: str) -> str:
        """The expected answer as the file has it."""
        answer = cell(row, "answer")
        if not answer:
            raise AssetsInvalid(f"{where}: no answer; files of test splits have none and cannot be scored here")
        return answer

    def facts(self, row: Row, where: str) -> dict[str, str]:
        """Further columns that the rules read."""
        return {}

    def facets(self, item: BenchmarkItem) -> tuple[str, ...]:
        """The categories that the item counts in, named `kind/category`."""
        return tuple(f"{kind}/{item.facts[kind]}" for kind in ("l2-category", "category") if item.facts.get(kind))
