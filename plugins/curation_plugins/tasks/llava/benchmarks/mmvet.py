"""MM-Vet: 218 open questions, graded by a judge against a reference answer."""

from __future__ import annotations

from collections.abc import Mapping

from curation_plugins.tasks.llava.benchmarks.fence import fence, fence_rules, read_number, read_object
from curation_plugins.tasks.llava.benchmarks.graded import GradedBenchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Question
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle, images_first, open_prompt
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_SKILLS = ("rec", "ocr", "know", "gen", "spat", "math")

_TASK = """\
You grade answers to questions about images that you do not see. You are given a question, a reference and an \
answer, and you give the answer a grade for agreeing with the reference, in steps of 0.1 from 0.0 (nothing agrees) \
to 1.0 (all of it does).

Where the reference has parts joined by AND, all of them are needed for 1.0, and a share of them earns that share. \
Where parts are joined by OR, any one of them earns 1.0. Wording does not matter, nor does correct detail beyond the \
reference; a statement that contradicts the reference does. An empty answer earns 0.0.

Examples:
- reference "12 AND 7", answer "x is 7": {"grade": 0.5}
- reference "12 AND 7", answer "7 or 12": {"grade": 1.0}
- reference "12 AND 7", answer "x = 9": {"grade": 0.0}
- reference "a red bus OR a double-decker", answer "It shows a double-decker in traffic.": {"grade": 1.0}
- reference "The picture jokes that cats ignore what they are told, while dogs obey.", answer "It is a joke about \
cats.": {"grade": 0.3}

"""
_FORM = 'Reply with one JSON object and nothing else: {"grade": number}'


class MMVet(GradedBenchmark):
    """The mean grade; public tables give it times 100 (arXiv 2308.02490; VLMEvalKit dataset/utils/mmvet.py L8-110).

    Grades go from 0 to 1 in steps of 0.1, `<AND>` and `<OR>` in the reference as there. The prompt is our own, so
    that grades are near and not equal to those of VLMEvalKit's. A reply that cannot be read after five tries is 0.0
    there (L70), here it is unscored.
    """

    name = "MMVet"
    columns = ("question", "answer", "category")
    max_tokens = 1024
    md5 = "748aa6d4aa9d4de798306a63718455e3"
    metrics = ("grade",)

    def question(self, item: BenchmarkItem, prediction: str) -> Question:
        reference = item.answer.replace("<AND>", " AND ").replace("<OR>", " OR ")
        text, code = fence({"QUESTION": item.question, "REFERENCE": reference, "ANSWER": prediction})
        return Question(system=f"{_TASK}{fence_rules(code)}\n\n{_FORM}", user=f"{text}\n\n{_FORM}")

    def grades(self, reply: str) -> tuple[float, ...] | None:
        value = read_object(reply, ("grade",))
        grade = read_number(value["grade"], 0, 1) if value else None
        return (grade,) if grade is not None and round(grade, 1) == grade else None

    def graded_score(self, grades: tuple[float, ...]) -> ItemScore:
        return ItemScore.of(grades[0])

    def prompt(
        self, row: Row, options: Mapping[str, str], images: int, style: PromptStyle, where: str
    ) -> tuple[int | str, ...]:
        return images_first(open_prompt(style, row["question"], short=False), images)

    def facts(self, row: Row, where: str) -> dict[str, str]:
        return {"category": cell(row, "category")}

    def facets(self, item: BenchmarkItem) -> tuple[str, ...]:
        """The six skills, of which a question may need several, and their combination (L76-94)."""
        category = item.facts["category"]
        skills = tuple(f"skill/{skill}" for skill in _SKILLS if skill in category)
        return (*skills, f"category/{category.replace(',', '_')}")
