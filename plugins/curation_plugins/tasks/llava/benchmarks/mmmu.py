"""MMMU (validation): college questions, several images each, most of them multiple choice."""

from __future__ import annotations

from collections.abc import Mapping

from curation_plugins.tasks.llava.benchmarks.choice import ChoiceBenchmark, scored_choice
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle, choice_prompt, images_first, images_in_place
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class MMMU(ChoiceBenchmark):
    """Accuracy over the 900 questions of split `validation`; the file's dev questions are not counted.

    An open question is scored as a choice between A, the gold answer's text, and B, "Other Answers"; its gold letter
    is A, or the gold answer itself where that is one capital letter (VLMEvalKit dataset/utils/multiple_choice.py
    L62-74, L481-483). The model is not shown these two options.
    """

    name = "MMMU"
    md5 = "585e8ad75e73f75dcad265dfd0417d64"

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        options = item.options if "A" in item.options else {"A": item.answer, "B": "Other Answers"}
        return scored_choice(prediction, options, item.answer if item.answer in _LETTERS else "A")

    def keeps(self, row: Row) -> bool:
        return cell(row, "split") in ("", "validation")

    def is_choice(self, answer: str, options: Mapping[str, str]) -> bool:
        """An open question has a text, or no options."""
        return "A" in options and answer in _LETTERS

    def prompt(
        self, row: Row, options: Mapping[str, str], images: int, style: PromptStyle, where: str
    ) -> tuple[int | str, ...]:
        """Images in their places; first for ``qwen2-vl`` (VLMEvalKit vlm/qwen2_vl/prompt.py L58-86)."""
        text = choice_prompt(style, row["question"], cell(row, "hint"), options)
        return images_first(text, images) if style == "qwen2-vl" else images_in_place(text, images, where)
