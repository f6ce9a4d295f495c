"""Which items depend on each other: those that share a question or an image, over all benchmarks."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.items import Split, half


class _Ties:
    """Union-find over ties; a set's name is its smallest tie, so that it does not depend on the order of items."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, tie: str) -> str:
        root = tie
        while (above := self._parent.setdefault(root, root)) != root:
            root = above
        while self._parent[tie] != root:
            self._parent[tie], tie = root, self._parent[tie]
        return root

    def join(self, ties: Sequence[str]) -> None:
        roots = {self.find(tie) for tie in ties}
        for root in roots:
            self._parent[root] = min(roots)


def assign_groups(items: Iterable[BenchmarkItem]) -> list[BenchmarkItem]:
    """The items with `group` set: equal for items that are linked, directly or over others, by shared ties.

    Ties hold across benchmarks: MMStar was drawn from MMBench, MMMU, MathVista and others, so one image or question
    may come in two of them, and knowing one half's answer must not help in the other.
    """
    known = list(items)
    ties = _Ties()
    for item in known:
        ties.join(_all_ties(item))
    return [item.model_copy(update={"group": ties.find(_all_ties(item)[0])}) for item in known]


def _all_ties(item: BenchmarkItem) -> tuple[str, ...]:
    return (*item.ties, f"item:{item.benchmark}/{item.item}")


def image_ties(pixels: Iterable[str]) -> tuple[str, ...]:
    """One tie an image, by what it shows and not by how it is stored."""
    return tuple(f"image:{digest}" for digest in pixels)


def text_tie(question: str, options: Iterable[str]) -> tuple[str, ...]:
    """A tie between questions with the same text and the same options in any order; none for open questions.

    Catches a question that two benchmarks hold with differently stored images. Open questions are left out: "What is
    written in the image?" links nothing.
    """
    texts = sorted(_bare(option) for option in options)
    if not texts:
        return ()
    joined = "\x1f".join([_bare(question), *texts])
    return (f"text:{hashlib.sha256(joined.encode()).hexdigest()}",)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def split_items(items: Iterable[BenchmarkItem], salt: str) -> dict[Split, list[BenchmarkItem]]:
    """The items of both halves, by a hash of their group (`tasks.llava.items.half`)."""
    halves: dict[Split, list[BenchmarkItem]] = {"public": [], "sealed": []}
    for item in items:
        halves[half(item.group, salt)].append(item)
    return halves


def largest_groups(items: Iterable[BenchmarkItem], count: int = 10) -> list[tuple[str, int]]:
    """The groups with the most items: one that holds a large share of a benchmark makes the halves unequal."""
    return Counter(item.group for item in items).most_common(count)
