"""OCRBench: 1,000 questions about text in images; a gold text that occurs in the answer is a hit."""

from __future__ import annotations

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.answers import literal_texts
from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

FORMULAS = "Handwritten Mathematical Expression Recognition"
_READING = frozenset(
    f"{kind} Recognition"
    for kind in (
        "Regular Text",
        "Irregular Text",
        "Artistic Text",
        "Handwriting",
        "Digit String",
        "Non-Semantic Text",
    )
)


class OCRBench(Benchmark):
    """Hits over questions; public tables give hits of 1,000 (VLMEvalKit dataset/image_vqa.py L508-569).

    Any one of the gold texts suffices. Handwritten formulas (HME) are compared without blanks and with case, all
    else without case and with line breaks as blanks. Every answer can be scored, also an empty one.
    """

    name = "OCRBench"
    columns = ("question", "answer", "category")
    max_tokens = 128
    md5 = "e953d98a987cc6e26ef717b61260b778"

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        bare = _formula if item.facts["category"] == FORMULAS else _text
        given = bare(prediction)
        return ItemScore.of(float(any(bare(gold) in given for gold in literal_texts(item.answer) or [])))

    def gold(self, row: Row, where: str) -> str:
        answer = super().gold(row, where)
        if literal_texts(answer) is None:
            raise AssetsInvalid(f"{where}: the answer is no list of texts")
        return answer

    def facts(self, row: Row, where: str) -> dict[str, str]:
        return {"category": cell(row, "category")}

    def facets(self, item: BenchmarkItem) -> tuple[str, ...]:
        """The five of VLMEvalKit's table (L545-567), and the file's own ten."""
        category = item.facts["category"]
        return (f"table/{'Text Recognition' if category in _READING else category}", f"category/{category}")


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")
