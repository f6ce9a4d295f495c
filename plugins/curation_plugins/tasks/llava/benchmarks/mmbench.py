"""MMBench (English, dev): multiple choice, each question asked once for every rotation of its options."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.benchmark import AnswersIncomplete, Scored
from curation_plugins.tasks.llava.benchmarks.choice import ChoiceBenchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle
from curation_plugins.tasks.llava.benchmarks.score import ItemScore, Unit
from curation_plugins.tasks.llava.benchmarks.tsv import Row, TsvFile, cell

_COPY = 1_000_000
"""Copy k of question i has the index i + k · 10⁶ (VLMEvalKit dataset/utils/multiple_choice.py L520-521)."""


class MMBench(ChoiceBenchmark):
    """A question counts as right only if every copy is (circular evaluation, arXiv 2307.06281).

    VLMEvalKit dataset/utils/multiple_choice.py L409-428: one copy read as another option makes the question wrong,
    whatever the others are; all copies right make it right; otherwise its exact matching says wrong (L553-558) and
    this says unscored. The score is `Overall` of split `dev` (L77-100).
    """

    name = "MMBench"
    md5 = "b6caf1133a01c6bb705cf753bb527ed8"
    metrics = ("circular",)

    def items(
        self, source: TsvFile, folder: Path, style: PromptStyle = "dataset", max_tokens: int | None = None
    ) -> Iterator[BenchmarkItem]:
        known = list(super().items(source, folder, style, max_tokens))
        copies = Counter(item.facts["question"] for item in known)
        for item in known:
            facts = {**item.facts, "copies": str(copies[item.facts["question"]])}
            yield item.model_copy(update={"facts": facts})

    def keeps(self, row: Row) -> bool:
        """Of a file with several splits, `dev`: the test split's answers are not public."""
        return cell(row, "split") in ("", "dev")

    def question_ties(self, row: Row, where: str) -> tuple[str, ...]:
        return (f"question:{self.name}/{_question(row, where)}",)

    def facts(self, row: Row, where: str) -> dict[str, str]:
        return {**super().facts(row, where), "question": str(_question(row, where))}

    def units(self, scored: Sequence[Scored]) -> list[Unit]:
        copies: dict[str, list[Scored]] = defaultdict(list)
        for item, score in scored:
            copies[item.facts["question"]].append((item, score))
        units = []
        for question, asked in copies.items():
            first, _ = asked[0]
            if len(asked) != int(first.facts["copies"]):
                raise AnswersIncomplete(
                    f"{self.name}: {len(asked)} of {first.facts['copies']} copies of question {question} are scored"
                )
            whole = all_right([score for _, score in asked])
            units.append(Unit(metric="circular", group=first.group, value=whole.value, unscored=whole.unscored))
        return units


def all_right(scores: Sequence[ItemScore]) -> ItemScore:
    """0 if one is wrong, 1 if all are right, unscored if it hangs on an unscored one."""
    if any(score.value is not None and score.value < 1 for score in scores):
        return ItemScore.of(0.0)
    return next((score for score in scores if score.value is None), ItemScore.of(1.0))


def _question(row: Row, where: str) -> int:
    try:
        return int(row["index"]) % _COPY
    except ValueError:
        raise AssetsInvalid(f"{where}: the index of a question with copies must be a whole number") from None
