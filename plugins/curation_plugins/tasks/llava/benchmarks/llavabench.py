"""LLaVA-Bench (in the wild): 60 open questions, graded beside the answer of a text-only GPT-4."""

from __future__ import annotations

from collections.abc import Sequence

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.benchmark import Scored
from curation_plugins.tasks.llava.benchmarks.fence import fence, fence_rules, read_number, read_object
from curation_plugins.tasks.llava.benchmarks.graded import GradedBenchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.score import ItemScore, Unit
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_BEST = 10.0

_TASK = """\
You compare two assistants who answered a question about an image. You do not see the image; a description of it \
is given, which you take as true. Rate each answer from 1 (useless) to 10 (excellent) by how helpful, relevant, \
accurate and detailed it is. Rate each on its own merits; the order of the two means nothing.

"""
_FORM = 'Reply with one JSON object and nothing else: {"assistant_1": number, "assistant_2": number}'


class LLaVABench(GradedBenchmark):
    """The relative score: the model's mean rating over GPT-4's; public tables give it times 100.

    VLMEvalKit dataset/utils/llavabench.py L27-92 (and arXiv 2304.08485): the judge rates GPT-4's stored answer
    (`gpt4_ans`) first and the model's second, both from 1 to 10. The prompt is our own. Where a reply cannot be read,
    both ratings are −1 there and counted in the means (L36-39); here the item is unscored. VLMEvalKit asks at
    temperature 0.2.
    """

    name = "LLaVABench"
    columns = ("question", "caption", "gpt4_ans", "category")
    max_tokens = 1024
    md5 = "d382a093f749a697820d3dadd61c8428"
    metrics = ("relative",)

    def question(self, item: BenchmarkItem, prediction: str) -> Question:
        sections = {
            "IMAGE DESCRIPTION": item.facts["caption"],
            "QUESTION": item.question,
            "ASSISTANT 1": item.answer,
            "ASSISTANT 2": prediction,
        }
        text, code = fence(sections)
        return Question(system=f"{_TASK}{fence_rules(code)}\n\n{_FORM}", user=f"{text}\n\n{_FORM}")

    def grades(self, reply: str) -> tuple[float, ...] | None:
        value = read_object(reply, ("assistant_1", "assistant_2"))
        if value is None:
            return None
        reference = read_number(value["assistant_1"], 1, _BEST)
        answer = read_number(value["assistant_2"], 1, _BEST)
        return None if reference is None or answer is None else (reference, answer)

    def graded_score(self, grades: tuple[float, ...]) -> ItemScore:
        reference, answer = grades
        return ItemScore.of(answer / _BEST, reference=reference / _BEST)

    def units(self, scored: Sequence[Scored]) -> list[Unit]:
        return [
            Unit(
                metric="relative",
                group=item.group,
                value=score.value,
                unscored=score.unscored,
                base=None if score.value is None else float(score.parts["reference"]),
            )
            for item, score in scored
        ]

    def gold(self, row: Row, where: str) -> str:
        answer = cell(row, "gpt4_ans")
        if not answer:
            raise AssetsInvalid(f"{where}: no answer of GPT-4 to compare with")
        return answer

    def facts(self, row: Row, where: str) -> dict[str, str]:
        return {"category": cell(row, "category"), "caption": cell(row, "caption")}
