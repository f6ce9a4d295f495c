"""Multiple-choice benchmarks: exact matching of the answer to an option."""

from __future__ import annotations

from collections.abc import Mapping

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks import tsv
from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.options import chosen_option
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle, choice_prompt, images_first
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell, first_of


class ChoiceBenchmark(Benchmark):
    """Options in columns `A`, `B` …; `answer` is a letter.

    VLMEvalKit dataset/utils/multiple_choice.py L359-438 under its `exact_matching` policy, but for what cannot be
    read: there wrong (or, with a judge that fails three times, a random option), here unscored.
    """

    columns = ("question", "answer", "A", "B")
    max_tokens = 128

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        return scored_choice(prediction, item.options, item.answer)

    def options(self, row: Row) -> dict[str, str]:
        return tsv.options(row)

    def gold(self, row: Row, where: str) -> str:
        """
        Raises:
            AssetsInvalid: none, or a letter without an option: no answer to it could be right.
        """
        letter, options = super().gold(row, where), self.options(row)
        if letter not in options and self.is_choice(letter, options):
            raise AssetsInvalid(f"{where}: the answer is {letter!r}, and the options are {', '.join(options)}")
        return letter

    def is_choice(self, answer: str, options: Mapping[str, str]) -> bool:
        """Whether the gold answer must name one of the options."""
        return True

    def prompt(
        self, row: Row, options: Mapping[str, str], images: int, style: PromptStyle, where: str
    ) -> tuple[int | str, ...]:
        return images_first(choice_prompt(style, row["question"], cell(row, "hint"), options), images)

    def facts(self, row: Row, where: str) -> dict[str, str]:
        found = {
            "category": first_of(row, "category"),
            "l2-category": first_of(row, "l2-category", "l2_category"),
        }
        return {name: text for name, text in found.items() if text}


def scored_choice(prediction: str, options: Mapping[str, str], gold: str) -> ItemScore:
    """1 or 0 if an option can be read from the answer, otherwise unscored."""
    chosen = chosen_option(prediction, options)
    if chosen is None:
        return ItemScore.none("answer", "no option can be read from the answer")
    return ItemScore.of(float(chosen == gold), chosen=chosen)
