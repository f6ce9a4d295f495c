"""How often the labeller says what a labelled corpus says, with intervals, half by half."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

from curation_harness.diagnostics.corpus import Case
from curation_harness.diagnostics.diagnosis import Labeller
from curation_harness.diagnostics.judgement import Label, Labelled
from curation_harness.record.entry import Entry
from curation_harness.record.measures import Interval


class Rate(Entry):
    """So many of so many, with what that says of the rate behind it."""

    count: int
    of: int
    interval: Interval | None
    """95 %, Wilson (1927, J. Am. Stat. Assoc. 22); none: of none."""


class LabelAgreement(Entry):
    """One label against all others."""

    label: Label
    both: int
    """Cases of this label that are given it."""
    missed: int
    """Cases of this label that are given another."""
    wrong: int
    """Cases of another label that are given this one."""
    neither: int
    found: Rate
    """Of the cases of this label, those given it (recall)."""
    right: Rate
    """Of those given it, the cases of this label (precision)."""


class Miss(Entry):
    case: str
    truth: Label
    given: Label
    hard: bool
    evidence: tuple[str, ...]


class HalfAgreement(Entry):
    half: str
    cases: int
    agreement: Rate
    plain: Rate
    """Of the cases that are not marked hard."""
    hard: Rate
    shallow: Rate
    """Agreement on the flag ``shallow``."""
    labels: tuple[LabelAgreement, ...]
    confusion: dict[Label, dict[Label, int]]
    """Label of the corpus → label given → cases."""
    misses: tuple[Miss, ...]


class Agreement(Entry):
    halves: tuple[HalfAgreement, ...]


def agree(cases: Sequence[Case], labeller: Labeller) -> Agreement:
    """Label every case and compare."""
    given = [(case, labeller(case.later, case.before)) for case in cases]
    halves = sorted({case.half for case in cases})
    return Agreement(halves=tuple(_half(half, [pair for pair in given if pair[0].half == half]) for half in halves))


def _half(half: str, given: Sequence[tuple[Case, Labelled]]) -> HalfAgreement:
    pairs: list[tuple[Label, Label]] = [(case.told.label, found.label) for case, found in given]
    same = [truth == found for truth, found in pairs]
    hard = [agrees for agrees, (case, _) in zip(same, given, strict=True) if case.told.hard]
    plain = [agrees for agrees, (case, _) in zip(same, given, strict=True) if not case.told.hard]
    confusion: dict[Label, dict[Label, int]] = {}
    for truth, found in pairs:
        row = confusion.setdefault(truth, {})
        row[found] = row.get(found, 0) + 1
    occurring = Counter(label for pair in pairs for label in pair)
    return HalfAgreement(
        half=half,
        cases=len(pairs),
        agreement=rate(sum(same), len(same)),
        plain=rate(sum(plain), len(plain)),
        hard=rate(sum(hard), len(hard)),
        shallow=rate(sum(case.told.shallow == bool(found.shallow) for case, found in given), len(given)),
        labels=tuple(_label(label, pairs) for label in sorted(occurring)),
        confusion=confusion,
        misses=tuple(
            Miss(
                case=case.name, truth=case.told.label, given=found.label, hard=case.told.hard, evidence=found.evidence
            )
            for case, found in given
            if case.told.label != found.label
        ),
    )


def _label(label: Label, pairs: Sequence[tuple[Label, Label]]) -> LabelAgreement:
    cells = Counter((truth == label, found == label) for truth, found in pairs)
    both, missed, wrong = cells[True, True], cells[True, False], cells[False, True]
    return LabelAgreement(
        label=label,
        both=both,
        missed=missed,
        wrong=wrong,
        neither=cells[False, False],
        found=rate(both, both + missed),
        right=rate(both, both + wrong),
    )


def rate(count: int, of: int) -> Rate:
    return Rate(count=count, of=of, interval=wilson(count, of) if of else None)


def wilson(count: int, of: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion: the rates p with |count/of − p| ≤ z·√(p(1−p)/of)."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, extra = count / of, z * z / of
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / of + extra / of / 4)
    return Interval(low=max(0.0, middle - half), high=min(1.0, middle + half))
