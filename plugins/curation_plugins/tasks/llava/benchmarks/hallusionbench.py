"""HallusionBench: yes/no questions about figures and altered figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.answers import yes_or_no
from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark, Scored
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.mmbench import all_right
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle, images_first, yes_no_prompt
from curation_plugins.tasks.llava.benchmarks.score import ItemScore, Unit
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_PLACES = {"set": 3, "figure": 4, "question": 5}
"""Parts of the index, split at underscores (VLMEvalKit dataset/utils/yorn.py L118-120)."""


class HallusionBench(Benchmark):
    """The mean of aAcc, fAcc and qAcc, as the mean of eight takes it (arXiv 2606.04261).

    VLMEvalKit dataset/utils/yorn.py L96-145: aAcc is the share of right answers; fAcc the share of figures, named by
    (l2-category, set, figure), with all questions right; qAcc the share of questions, named by (l2-category, set,
    question), right for all figures. `category` is not part of a name, so that figures of VD/ocr and VS/ocr with
    equal numbers count as one; that is kept. An answer that says neither or both of yes and no is "Unknown" and wrong
    there (without a judge), here unscored.
    """

    name = "HallusionBench"
    columns = ("question", "answer", "l2-category")
    max_tokens = 128
    md5 = "0c23ac0dc9ef46832d7a24504f2a0c7c"
    metrics = ("aAcc", "fAcc", "qAcc")

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        said = yes_or_no(prediction)
        if said is None:
            return ItemScore.none("answer", "the answer says neither or both of yes and no")
        return ItemScore.of(float(said == item.answer), said=said)

    def units(self, scored: Sequence[Scored]) -> list[Unit]:
        units = [
            Unit(metric="aAcc", group=item.group, value=score.value, unscored=score.unscored)
            for item, score in scored
        ]
        for metric, part in (("fAcc", "figure"), ("qAcc", "question")):
            sharing: dict[tuple[str, str, str], list[Scored]] = defaultdict(list)
            for item, score in scored:
                facts = item.facts
                sharing[facts["l2-category"], facts["set"], facts[part]].append((item, score))
            for members in sharing.values():
                whole = all_right([score for _, score in members])
                group = members[0][0].group
                units.append(Unit(metric=metric, group=group, value=whole.value, unscored=whole.unscored))
        return units

    def prompt(
        self, row: Row, options: Mapping[str, str], images: int, style: PromptStyle, where: str
    ) -> tuple[int | str, ...]:
        return images_first(yes_no_prompt(style, row["question"]), images)

    def question_ties(self, row: Row, where: str) -> tuple[str, ...]:
        """All questions about all figures of a set: neither fAcc nor qAcc may be cut by the split."""
        facts = self.facts(row, where)
        return (f"question:{self.name}/{facts['l2-category']}/{facts['set']}",)

    def facts(self, row: Row, where: str) -> dict[str, str]:
        parts = row["index"].split("_")
        if len(parts) <= max(_PLACES.values()):
            raise AssetsInvalid(f"{where}: the index should have set, figure and question as parts 4 to 6")
        named = {name: parts[place] for name, place in _PLACES.items()}
        return {**named, "l2-category": cell(row, "l2-category"), "category": cell(row, "category")}
