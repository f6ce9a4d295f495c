"""The benchmarks by name."""

from __future__ import annotations

from curation_plugins.errors import UnknownName
from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.hallusionbench import HallusionBench
from curation_plugins.tasks.llava.benchmarks.llavabench import LLaVABench
from curation_plugins.tasks.llava.benchmarks.mathvista import MathVista
from curation_plugins.tasks.llava.benchmarks.mmbench import MMBench
from curation_plugins.tasks.llava.benchmarks.mmmu import MMMU
from curation_plugins.tasks.llava.benchmarks.mmstar import MMStar
from curation_plugins.tasks.llava.benchmarks.mmvet import MMVet
from curation_plugins.tasks.llava.benchmarks.ocrbench import OCRBench
from curation_plugins.tasks.llava.benchmarks.plain import PLAIN, PlainBenchmark
from curation_plugins.tasks.llava.benchmarks.replies import Grader

PUBLIC: tuple[type[Benchmark], ...] = (
    MMVet,
    LLaVABench,
    OCRBench,
    HallusionBench,
    MMMU,
    MathVista,
    MMStar,
    MMBench,
)
"""The eight, in the order of the tables."""


def benchmark(name: str, judge: Grader | None = None) -> Benchmark:
    """The benchmark of that name, one of the eight or one of `llava-tiny`'s.

    Args:
        judge: for those that a judge grades or helps to read; without it these are unscored or read by rule.

    Raises:
        UnknownName: there is none.
    """
    for kind in PUBLIC:
        if kind.name == name:
            return kind(judge)
    if name in PLAIN:
        return PlainBenchmark(name)
    known = ", ".join([*(kind.name for kind in PUBLIC), *sorted(PLAIN)])
    raise UnknownName(f"There is no benchmark {name!r}", hint=f"Known: {known}.")
