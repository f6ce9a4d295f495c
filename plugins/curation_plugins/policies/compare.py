"""How far two policies are apart, by what their code does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation_plugins.policies.code import PolicyCode

SAME_BELOW: Final = 0.12
"""Distance up to which two policies count as one procedure. See ``docs/scaffolds.md`` for what it was measured on."""


def structure_distance(a: PolicyCode, b: PolicyCode) -> float:
    """0: the same operations on the same flow of data; 1: nothing in common.

    One minus the weighted Jaccard index of the two bags (Ružička), edges counting twice: an operation that moved
    elsewhere is another procedure.
    """
    names = {*a.features, *b.features}
    both = sum(_weight(name) * min(a.features.get(name, 0), b.features.get(name, 0)) for name in names)
    either = sum(_weight(name) * max(a.features.get(name, 0), b.features.get(name, 0)) for name in names)
    return 1 - both / either if either else 0.0


def same_structure(a: PolicyCode, b: PolicyCode) -> bool:
    """Whether one is the other with other names, numbers, order or metadata rules: the same operations, on the same
    content."""
    return a.signals == b.signals and structure_distance(a, b) <= SAME_BELOW


def unexplained(new: PolicyCode, earlier: Sequence[PolicyCode]) -> float:
    """Share of the new policy's features that none of the earlier ones has; 0 with nothing new, or no features."""
    known = {name for code in earlier for name in code.features}
    whole = sum(_weight(name) * count for name, count in new.features.items())
    fresh = sum(_weight(name) * count for name, count in new.features.items() if name not in known)
    return fresh / whole if whole else 0.0


def _weight(name: str) -> int:
    return 2 if ">" in name else 1
