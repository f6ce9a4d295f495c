"""One label for an attempt, with its evidence: the first that fits of repair, seed or rerun, local tuning,
recombination, new family, adaptation. A pure function of the tries of a run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

from curation_harness.diagnostics.judgement import PLAIN, Family, Label, Labelled
from curation_harness.diagnostics.knobs import changed_knobs, same_knobs
from curation_harness.diagnostics.mechanisms import Mechanisms, mechanisms
from curation_harness.diagnostics.tries import Try
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.compare import SAME_BELOW, structure_distance, unexplained
from curation_plugins.selection import jaccard

REWRITTEN_BELOW: Final = 0.75
"""Structure distance up to which code that selects nearly the same rows counts as the same procedure, rewritten."""
LAID_OUT_ALIKE: Final = 0.02
"""Structure distance up to which every constant has its counterpart."""
SAME_ROWS: Final = 0.95
"""Jaccard index from which two selections are the same."""
REPAIRED_BELOW: Final = 0.6
"""Structure distance up to which a try is what was intended in a refused one that reads the same signals; half of it
where they differ."""
SAME_NUMBERS_BELOW: Final = 0.45
"""Structure distance up to which code with few lines in common and all numbers is the same, written anew."""
WRITTEN_ANEW: Final = 0.5
"""Likeness of text below which code was written anew and not edited."""
EDITED_BELOW: Final = 0.75
"""The same for code whose text was kept for the most part."""
TEXT_ALIKE: Final = 0.6
"""Likeness of text from which most of it was kept; the only sign where a refused one could not be read."""
LINES_ALIKE: Final = 600
"""Lines of a text that are compared."""
NEW_AT_MOST: Final = 0.3
"""Share of a recombination's structure that none of its two parents has; twice that where both parents' signals are
read."""
HARDLY_CHANGED: Final = 0.25
"""Structure distance up to which what was added is no mechanism that decides the bulk."""
EACH_AT_LEAST: Final = 0.08
"""Share of a recombination's structure that only the one parent has."""


def label(one: Try, before: Sequence[Try]) -> Labelled:
    """Label a try.

    Args:
        before: all tries before it, in order; refused and failed ones count for repairs only.
    """
    if one.code is None:
        return Labelled(label="unreadable", evidence=(one.unreadable,), family=None)
    repaired = _repair(one, before)
    if repaired is not None:
        return repaired
    earlier = [old for old in before if old.outcome == "scored" and old.code is not None]
    own = mechanisms(one)
    same = _same(one, earlier)
    if same is not None:
        return _tuned(one, same, own)
    if not earlier:
        return _first(own)
    parents = _recombined(one, own, earlier)
    if parents is not None:
        return _labelled("recombination", own.bulk, parents[1], parents[0])
    kinds = {_n(old): mechanisms(old) for old in earlier}
    if own.bulk not in {kind.bulk for kind in kinds.values()} and not _hardly_changed(one, own, earlier):
        decided = ", ".join(sorted({kind.bulk for kind in kinds.values()}))
        return _labelled("new family", own.bulk, (own.why, f"before it {decided} decided"), ())
    return _adapted(one, own, earlier, kinds)


def _labelled(name: Label, family: Family | None, evidence: Sequence[str], parents: Sequence[int]) -> Labelled:
    shallow = None if name in ("baseline", "unreadable") else name in ("seed or rerun", "local tuning")
    return Labelled(label=name, evidence=tuple(evidence), family=family, parents=tuple(parents), shallow=shallow)


def _first(own: Mechanisms) -> Labelled:
    if own.bulk in PLAIN:
        return _labelled("baseline", own.bulk, (f"the first attempt; {own.why}",), ())
    return _labelled("new family", own.bulk, (f"the first attempt; {own.why}",), ())


# -- repair ----------------------------------------------------------------------------------------


def _repair(one: Try, before: Sequence[Try]) -> Labelled | None:
    """What the try just before was meant to be, where that was refused or failed."""
    if not before or before[-1].outcome not in ("refused", "failed"):
        return None
    broken = before[-1]
    assert one.code is not None
    if broken.code is not None:
        distance = structure_distance(one.code, broken.code)
        agree = mechanisms(one).signals == mechanisms(broken).signals
        edited = distance <= EDITED_BELOW and _alike(one, broken) >= TEXT_ALIKE
        meant = distance <= (REPAIRED_BELOW if agree else REPAIRED_BELOW / 2) or edited
        said = f"structure distance {distance:.2f} to {broken.name}, which was {broken.outcome}"
    else:
        alike = _alike(one, broken)
        meant = alike >= TEXT_ALIKE
        said = f"{alike:.0%} of the text of {broken.name}, which could not be read, is kept"
    if not meant:
        return None
    without = label(one, before[:-1])
    reason = broken.problems[0] if broken.problems else "no reason is on record"
    return Labelled(
        label="repair",
        evidence=(f"what stood in the way: {reason}", said, f"without that try: {without.label}"),
        family=without.family,
        parents=without.parents,
        shallow=bool(without.shallow),
    )


def _alike(one: Try, other: Try) -> float:
    texts = [
        "\n".join(text for name, text in sorted(t.documents.items()) if name.endswith(".py")) for t in (one, other)
    ]
    lines = [[line.strip() for line in text.splitlines() if line.strip()][:LINES_ALIKE] for text in texts]
    if lines[0] == lines[1]:
        return 1.0
    # lines that stand everywhere in a long text begin no match: the time grows with the cube of how often they do
    return difflib.SequenceMatcher(None, lines[0], lines[1], autojunk=True).ratio()


# -- the same procedure ----------------------------------------------------------------------------


def _same(one: Try, earlier: Sequence[Try]) -> tuple[Try, float, bool] | None:
    """The earlier attempt with the same procedure: it, the structure distance, and whether the code was rewritten.
    One with the same knobs too is preferred, then the nearest, then the last."""
    found = [(old, *same) for old in earlier if (same := _same_procedure(one, old)) is not None]
    found.sort(key=lambda pair: (not same_knobs(one, pair[0], rewritten=pair[2]), pair[1], -pair[0].place))
    return found[0] if found else None


def _same_procedure(one: Try, old: Try) -> tuple[float, bool] | None:
    assert one.code is not None
    assert old.code is not None
    distance = structure_distance(one.code, old.code)
    new, before = mechanisms(one), mechanisms(old)
    if {new.bulk, before.bulk} <= PLAIN:
        return _same_plain(one.code, old.code, new, before, distance)
    if new.signals != before.signals:
        return None
    if distance <= SAME_BELOW and _formulas_agree(one.code, old.code):
        return distance, _rewritten(one.code, old.code, distance)
    if distance <= REWRITTEN_BELOW and one.rows and old.rows and jaccard(one.rows, old.rows) >= SAME_ROWS:
        return distance, True
    anew = distance <= SAME_NUMBERS_BELOW and new.bulk == before.bulk and _alike(one, old) < WRITTEN_ANEW
    if anew and same_knobs(one, old, rewritten=True) and _formulas_agree(one.code, old.code):
        return distance, True
    return None


def _same_plain(
    new: PolicyCode, old: PolicyCode, own: Mechanisms, before: Mechanisms, distance: float
) -> tuple[float, bool] | None:
    """Among plain families rules over metadata are knobs; how shares are made is not."""
    if own.groups != before.groups:
        return None
    if own.groups and not _formulas_agree(new, old):
        return None
    return distance, _rewritten(new, old, distance)


def _rewritten(new: PolicyCode, old: PolicyCode, distance: float) -> bool:
    """Whether the same is written otherwise: split into other functions, under other names, in other files."""
    return distance > LAID_OUT_ALIKE or {f.qualname for f in new.functions} != {f.qualname for f in old.functions}


def _formulas_agree(new: PolicyCode, old: PolicyCode) -> bool:
    """Whether the same is computed of metadata, apart from how often and what is trivial."""
    trivial = {"min", "max", "sort", "len", "equal", "round", "sum", "add", "eye", "identity"}
    return {*new.formulas} - trivial == {*old.formulas} - trivial


def _tuned(one: Try, same: tuple[Try, float, bool], own: Mechanisms) -> Labelled:
    old, distance, rewritten = same
    said = [f"structure distance {distance:.2f} to {old.name}, the same signals"]
    overlap = jaccard(one.rows, old.rows) if one.rows and old.rows else None
    if overlap is not None:
        said.append(f"{overlap:.0%} of the rows of both are shared")
    identical = overlap is not None and overlap >= SAME_ROWS and rewritten
    if identical or (same_knobs(one, old, rewritten=rewritten) and _rules_agree(one, old)):
        return _labelled("seed or rerun", own.bulk, ("no knob but seeds differs", *said), (_n(old),))
    changed = changed_knobs(one, old)
    differs = f"knobs differ: {', '.join(changed)}" if changed else "rules over metadata differ"
    return _labelled("local tuning", own.bulk, (differs, *said), (_n(old),))


def _rules_agree(one: Try, old: Try) -> bool:
    assert one.code is not None
    assert old.code is not None
    return one.code.rules == old.code.rules and one.code.metadata == old.code.metadata


# -- another procedure -----------------------------------------------------------------------------


def _recombined(one: Try, own: Mechanisms, earlier: Sequence[Try]) -> tuple[tuple[int, int], tuple[str, ...]] | None:
    """The two earlier attempts whose mechanisms it puts together, and what says so."""
    best: tuple[float, Try, Try, str] | None = None
    for place, right in enumerate(earlier):
        for left in earlier[:place]:
            found = _joined(one, own, left, right)
            if found is not None and (best is None or found[0] < best[0]):
                best = (found[0], left, right, found[1])
    if best is None:
        return None
    fresh, left, right, said = best
    names = f"{left.name} and {right.name}"
    return (_n(right), _n(left)), (f"{1 - fresh:.0%} of its structure is that of {names}", said, own.why)


def _joined(one: Try, own: Mechanisms, left: Try, right: Try) -> tuple[float, str] | None:
    """Share that is new, and what each parent gives; none: it is no recombination of the two."""
    assert one.code is not None
    assert left.code is not None
    assert right.code is not None
    kinds = mechanisms(left), mechanisms(right)
    if own.signals - kinds[0].signals - kinds[1].signals:
        return None
    if own.bulk not in kinds[0].parts | kinds[1].parts:
        return None  # something decides that neither had
    if any(kind.signals and not kind.signals & own.signals for kind in kinds):
        return None  # nothing that one parent's mechanism looks at is looked at
    fresh = unexplained(one.code, [left.code, right.code])
    gifts = [_given(one.code, own, (a, ka), (b, kb)) for (a, ka), (b, kb) in _both(left, right, kinds)]
    reads = [bool(_specific(own, ka, kb)) for (_, ka), (_, kb) in _both(left, right, kinds)]
    limit = 2.1 * NEW_AT_MOST if all(reads) else NEW_AT_MOST
    if fresh > limit or not all(gifts):
        return None
    return fresh, f"{left.name} gives {gifts[0]}; {right.name} gives {gifts[1]}"


def _both(
    left: Try, right: Try, kinds: tuple[Mechanisms, Mechanisms]
) -> tuple[tuple[tuple[Try, Mechanisms], tuple[Try, Mechanisms]], ...]:
    one, other = (left, kinds[0]), (right, kinds[1])
    return (one, other), (other, one)


def _given(code: PolicyCode, own: Mechanisms, giver: tuple[Try, Mechanisms], other: tuple[Try, Mechanisms]) -> str:
    """What only the one parent has of it; empty: nothing."""
    read = _specific(own, giver[1], other[1])
    if read:
        return ", ".join(sorted(read))
    share = _only(code, giver[0].code, other[0].code)
    return f"{share:.0%} of its structure" if share >= EACH_AT_LEAST else ""


def _specific(own: Mechanisms, giver: Mechanisms, other: Mechanisms) -> set[str]:
    """Signals and plain mechanisms that it shares with one parent and not with the other."""
    plain = {family for family in PLAIN if family != "random"}
    parts = own.parts & giver.parts & plain - other.parts
    return {f"the signal {name}" for name in own.signals & giver.signals - other.signals} | {
        f"the mechanism {name}" for name in parts
    }


def _only(code: PolicyCode, giver: PolicyCode | None, other: PolicyCode | None) -> float:
    """Share of the structure that the giver has and the other has not."""
    assert giver is not None
    assert other is not None
    weights: Mapping[str, int] = {name: (2 if ">" in name else 1) * n for name, n in code.features.items()}
    own = sum(weight for name, weight in weights.items() if name in giver.features and name not in other.features)
    return own / max(1, sum(weights.values()))


def _adapted(one: Try, own: Mechanisms, earlier: Sequence[Try], kinds: Mapping[int, Mechanisms]) -> Labelled:
    """Another procedure within a family that was used."""
    assert one.code is not None
    alike = [old for old in earlier if kinds[_n(old)].bulk == own.bulk] or earlier
    nearest = min(alike, key=lambda old: (structure_distance(one.code, old.code), -old.place))  # type: ignore[arg-type]
    assert nearest.code is not None
    distance = structure_distance(one.code, nearest.code)
    said = [f"{kinds[_n(nearest)].bulk} as in {nearest.name}, structure distance {distance:.2f}"]
    fresh = sorted(own.signals ^ kinds[_n(nearest)].signals)
    said += [f"other signals: {', '.join(fresh)}"] if fresh else []
    return _labelled("adaptation", own.bulk, said, (_n(nearest),))


def _hardly_changed(one: Try, own: Mechanisms, earlier: Sequence[Try]) -> bool:
    """Whether it is an earlier attempt but for a small part, reading the same: then that part does not decide."""
    assert one.code is not None
    return any(
        old.code is not None
        and mechanisms(old).signals == own.signals
        and mechanisms(old).bulk not in PLAIN
        and structure_distance(one.code, old.code) <= HARDLY_CHANGED
        for old in earlier
    )


def _n(one: Try) -> int:
    assert one.n is not None  # a scored try has a number
    return one.n
