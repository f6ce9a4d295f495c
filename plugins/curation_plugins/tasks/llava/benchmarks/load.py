"""Reading all benchmarks of a task: items with groups over all of them, images on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field

from curation_plugins.tasks.llava.benchmarks.groups import assign_groups
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.prompts import PromptStyle
from curation_plugins.tasks.llava.benchmarks.registry import benchmark
from curation_plugins.tasks.llava.benchmarks.score import Frozen
from curation_plugins.tasks.llava.benchmarks.tsv import TsvFile


class Asking(Frozen):
    """How the questions are put; part of what a score means."""

    style: PromptStyle = "dataset"
    """Whose prompts."""
    max_tokens: Mapping[str, int] = Field(default={})
    """Benchmark to limit of an answer, where it is not the benchmark's own. The evaluator of arXiv 2606.04261 takes
    128 for all, which cuts the open answers of MMVet, LLaVABench and MathVista short."""


def load_benchmarks(
    files: Mapping[str, TsvFile],
    folder: Path,
    asking: Asking | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> list[BenchmarkItem]:
    """The items of all benchmarks, in the order of `files`, then of the file; images are written below `folder`.

    Args:
        files: benchmark name to file.
        progress: told the benchmark being read and the share of benchmarks done.

    Raises:
        UnknownName: no such benchmark.
        AssetsInvalid: a file is missing, changed or damaged.
    """
    asking = asking or Asking()
    kinds = {name: benchmark(name) for name in files}
    items: list[BenchmarkItem] = []
    for place, (name, source) in enumerate(files.items()):
        if progress is not None:
            progress(f"reading {name}", place / len(files))
        items.extend(kinds[name].items(source, folder, asking.style, asking.max_tokens.get(name)))
    return assign_groups(items)
