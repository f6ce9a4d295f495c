"""How ``run.json`` of an older format becomes one of this version's: one step a format.

``FORMAT`` is raised when a version that knows only the one before could misread a record; what then has to be put in
the place of what was missing stands here. Other files of a record follow the format in its ``run.json``; what they
gained since has a default that says "not known".

| format | what is new |
|---|---|
| 1 | the first |
| 2 | sealed: ``manifest.sha256``, ``beside.sha256``; how items become scores (``scoring``), digests of the packages |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Tree = dict[str, Any]

SEALED: Final = 2
"""The first format whose records are sealed."""


def _from_1(tree: Tree) -> Tree:
    """Nothing was left out or renamed: the new keys' defaults say that nobody noted them."""
    return tree


STEPS: Final[Mapping[int, Callable[[Tree], Tree]]] = {1: _from_1}
"""Format → what makes the next one of it."""


def upgraded(tree: Tree, target: int) -> Tree:
    """``run.json``, read by ``json``, of any format up to ``target``, as one of format ``target``."""
    found = tree["format"]
    while found < target:
        tree = {**STEPS[found](tree), "format": found + 1}
        found += 1
    return tree
