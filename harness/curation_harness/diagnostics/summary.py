"""What a run's labels and flags come to: shares with their denominators, the execution-research gap, and what each
label cost and gained."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from curation_harness.diagnostics.judgement import RESEARCH, SHARED, Label
from curation_harness.diagnostics.tries import Outcome, Try
from curation_harness.record.entry import Entry
from curation_plugins.selection import jaccard


@dataclass(frozen=True, kw_only=True)
class AttemptFacts:
    """Of one try what the summary counts."""

    outcome: Outcome
    label: Label | None
    """None: refused, failed, or not scored yet."""
    grounded: bool | None
    shallow: bool | None
    effective: bool | None
    mean: float | None
    gain: float | None
    """Over the best public score before it."""
    agent_seconds: float
    host_seconds: float
    dollars: float
    tokens: int


class Count(Entry):
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """None: of none."""
        return self.count / self.of if self.of else None


class LabelLine(Entry):
    """What one label's attempts took and brought."""

    label: Label | Literal["refused"]
    """``refused``: the refused tries together, which have no label."""
    attempts: Count
    """Of the attempts that take part in the shares; of all scored ones for the two labels that do
    not; refused tries: of all tries."""
    grounded: Count
    effective: Count
    """Of those for which it could be told."""
    gain: float
    """Sum of what its attempts added to the best public score so far; an attempt that adds nothing counts zero."""
    gain_mean: float | None
    """Mean difference of its attempts to the best before them, which may be negative; none: there was none."""
    agent_seconds: float
    host_seconds: float
    dollars: float
    tokens: int


class RunSummary(Entry):
    tries: int
    """Everything handed in, refused tries included; failures of the harness and unscored attempts left out."""
    scored: int
    refused: int
    failed: int
    """Attempts that the harness failed on; they take part in nothing here."""
    pending: int
    baseline: int
    """Scored attempts left out of the shares as a plain beginning."""
    unreadable: int
    """Scored attempts left out of the shares since their code could not be read."""
    shares: dict[Label, Count]
    """Of the scored attempts with any other label."""
    grounded: Count
    shallow: Count
    effective: Count
    """Each of the attempts in the shares for which it could be told."""
    execution: Count
    """Tries that ran through to a score, of all tries but the plain beginning and unreadable ones."""
    research: Count
    """Tries that ran through, tried another procedure (new family, adaptation, recombination) and were grounded, of
    the same."""
    gap: float | None
    """The execution-research gap: the share of ``execution`` minus that of ``research``, from 0 to 1; the share of
    the tries that work and are no research. None: no attempt takes part in the shares."""
    labels: tuple[LabelLine, ...]
    """By label, those that occur, and the refused tries."""
    best: float | None
    """Best public score."""
    beyond_chance: float | None
    """Best public score minus the expected maximum of as many random selections; none: not measured."""


def summarize(facts: Sequence[AttemptFacts], expected_maximum: Sequence[float] = ()) -> RunSummary:
    """Count.

    Args:
        expected_maximum: of random selections, attempt by attempt.
    """
    outcomes = Counter(one.outcome for one in facts)
    scored = [one for one in facts if one.outcome == "scored"]
    shared = [one for one in scored if one.label in SHARED]
    refused = [one for one in facts if one.outcome == "refused"]
    whole = len(shared) + len(refused)
    execution = Count(count=len(shared), of=whole)
    research = Count(count=sum(one.label in RESEARCH and one.grounded is True for one in shared), of=whole)
    means = [one.mean for one in scored if one.mean is not None]
    best = max(means, default=None)
    return RunSummary(
        tries=len(scored) + len(refused),
        scored=outcomes["scored"],
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        pending=outcomes["pending"],
        baseline=sum(one.label == "baseline" for one in scored),
        unreadable=sum(one.label == "unreadable" for one in scored),
        shares={label: Count(count=sum(one.label == label for one in shared), of=len(shared)) for label in SHARED},
        grounded=_told(one.grounded for one in shared),
        shallow=_told(one.shallow for one in shared),
        effective=_told(one.effective for one in shared),
        execution=execution,
        research=research,
        gap=(execution.count - research.count) / whole if shared else None,
        labels=(
            *(
                _line(label, [one for one in scored if one.label == label], shared if label in SHARED else scored)
                for label in _occurring(scored)
            ),
            *((_line("refused", refused, [*scored, *refused]),) if refused else ()),
        ),
        best=best,
        beyond_chance=best - expected_maximum[-1] if best is not None and expected_maximum else None,
    )


def shared_rows(one: Try, other: Try) -> float:
    """Jaccard index of the rows of two attempts."""
    nothing = array("q")
    return jaccard(one.rows or nothing, other.rows or nothing)


def _told(flags: Iterable[bool | None]) -> Count:
    known = [flag for flag in flags if flag is not None]
    return Count(count=sum(known), of=len(known))


def _occurring(scored: Sequence[AttemptFacts]) -> list[Label]:
    found = {one.label for one in scored}
    order: tuple[Label, ...] = (*SHARED, "baseline", "unreadable")
    return [label for label in order if label in found]


def _line(label: Label | Literal["refused"], own: Sequence[AttemptFacts], of: Sequence[AttemptFacts]) -> LabelLine:
    gains = [one.gain for one in own if one.gain is not None]
    return LabelLine(
        label=label,
        attempts=Count(count=len(own), of=len(of)),
        grounded=_told(one.grounded for one in own),
        effective=_told(one.effective for one in own),
        gain=sum(max(0.0, gain) for gain in gains),
        gain_mean=sum(gains) / len(gains) if gains else None,
        agent_seconds=sum(one.agent_seconds for one in own),
        host_seconds=sum(one.host_seconds for one in own),
        dollars=sum(one.dollars for one in own),
        tokens=sum(one.tokens for one in own),
    )
