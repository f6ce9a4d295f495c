"""The words in which an attempt is judged: labels, families, flags. ``docs/diagnostics.md`` defines them."""

from __future__ import annotations

from typing import Final, Literal

from curation_harness.record.entry import Entry

Label = Literal[
    "new family",
    "adaptation",
    "recombination",
    "local tuning",
    "seed or rerun",
    "repair",
    "baseline",
    "unreadable",
]
"""``baseline``: a first attempt that is random, quotas or thresholds; ``unreadable``: the code could not be read.
Both take no part in the shares."""

SHARED: Final[tuple[Label, ...]] = (
    "new family",
    "adaptation",
    "recombination",
    "local tuning",
    "seed or rerun",
    "repair",
)
"""Labels that shares are made of, the most research-like first."""

RESEARCH: Final = frozenset({"new family", "adaptation", "recombination"})
"""Labels of attempts that try another procedure."""

Family = Literal[
    "random",
    "quota",
    "threshold",
    "score-rank",
    "dedup",
    "coverage",
    "gradient-influence",
    "distribution-matching",
    "mixture-learning",
    "synthesis",
    "curriculum",
    "model-judgement",
]
"""The kind of mechanism that decides the bulk of a selection."""

PLAIN: Final = frozenset({"random", "quota", "threshold"})
"""Families that look at nothing of a row's content."""


class Labelled(Entry):
    """An attempt's label with what it rests on."""

    label: Label
    evidence: tuple[str, ...]
    """Sentences, each about something that was measured."""
    family: Family | None
    """What decides the bulk; none: the code could not be read."""
    parents: tuple[int, ...] = ()
    """Attempts whose procedure it goes back to, the nearest first; empty: none."""
    shallow: bool | None = None
    """Whether what changed is knobs only; none: nothing to compare with, or unreadable."""


class Flag(Entry):
    """One yes or no with what it rests on."""

    value: bool | None
    """None: it cannot be told."""
    evidence: tuple[str, ...]
