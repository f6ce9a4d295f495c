"""A benchmark's question as it is asked and scored."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from curation_plugins.tasks.llava.benchmarks.score import Frozen


class BenchmarkItem(Frozen):
    """One request to the model, with what scoring it needs."""

    benchmark: str
    item: str
    """The row's index in the benchmark's file; unique within the benchmark."""
    group: str = ""
    """Items of one group are not independent and never straddle the halves; set by `groups.assign_groups`."""
    ties: tuple[str, ...] = ()
    """What the item has in common with others: question group, images, text. Shared ties make a group."""
    prompt: tuple[int | str, ...]
    """Text and places in `images`, in order."""
    images: tuple[str, ...] = ()
    """Paths below the benchmarks folder, named by the SHA-256 of their bytes."""
    max_tokens: int = Field(gt=0)
    """At most this many tokens are generated."""
    question: str
    """The bare question, as the file has it."""
    options: Mapping[str, str] = {}
    """Option letter to text; empty where the question is open."""
    answer: str
    """Gold, as the file has it."""
    facts: Mapping[str, str] = {}
    """Further columns that the benchmark's rules read."""

    def asked_images(self) -> tuple[str, ...]:
        """The images in the order in which the prompt shows them; one shown twice comes twice."""
        return tuple(self.images[part] for part in self.prompt if isinstance(part, int))

    def asked_text(self) -> str:
        """The prompt's text for a model that takes all images first: the pieces joined by a line break, as the
        evaluator of arXiv 2606.04261 does it (vendor/VLMEvalKit/vlmeval/vlm/llava15_eval.py at 5f9cf529)."""
        return "\n".join(part for part in self.prompt if isinstance(part, str))
