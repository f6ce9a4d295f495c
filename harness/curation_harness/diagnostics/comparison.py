"""Runs beside each other, by scaffold, agent or task. The run is the unit: every figure is a mean over runs of the
run's own figure, and its interval says how far other runs would move it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final, Literal

from curation_harness.diagnostics.diagnosis import RunDiagnosis
from curation_harness.diagnostics.summary import Count
from curation_harness.record.entry import Entry
from curation_harness.record.measures import Interval
from curation_harness.record.student import t_quantile

By = Literal["scaffold", "agent", "task"]
BY: Final[tuple[By, ...]] = ("scaffold", "agent", "task")


class Figure(Entry):
    """A mean over runs."""

    mean: float
    runs: int
    """Runs that have the figure."""
    interval: Interval | None
    """95 %, Student's t over runs; none with fewer than two. Shares are cut at 0 and 1."""


class GroupLine(Entry):
    """Runs that have the scaffold, the agent or the task in common."""

    name: str
    runs: tuple[str, ...]
    """Ids of the runs."""
    tasks: tuple[str, ...]
    attempts: int
    """Attempts in the shares, of all its runs together."""
    new_family: Figure | None
    grounded: Figure | None
    shallow: Figure | None
    effective: Figure | None
    gap: Figure | None
    best: Figure | None
    """Best public score; none where the runs are of several tasks, or scores are means of different names."""
    sealed: Figure | None
    """Headline; as with the best public score."""
    beyond_chance: Figure | None
    dollars: Figure | None
    agent_seconds: Figure | None
    host_seconds: Figure | None


class Grouping(Entry):
    by: By
    groups: tuple[GroupLine, ...]


class Comparison(Entry):
    """``harness diagnose --json``: every run, and the runs beside each other."""

    runs: tuple[RunDiagnosis, ...]
    groupings: tuple[Grouping, ...]


def compare(runs: Sequence[RunDiagnosis]) -> Comparison:
    """Runs beside each other, in the order given."""
    groupings = tuple(Grouping(by=by, groups=tuple(_groups(runs, by))) for by in BY)
    return Comparison(runs=tuple(runs), groupings=groupings)


def _groups(runs: Sequence[RunDiagnosis], by: By) -> list[GroupLine]:
    members: dict[str, list[RunDiagnosis]] = {}
    for run in runs:
        members.setdefault(key(run, by), []).append(run)
    return [_group(name, own) for name, own in sorted(members.items())]


def key(run: RunDiagnosis, by: By) -> str:
    """The name of the group a run is in; an agent with another model is another agent."""
    if by == "scaffold":
        return run.scaffold
    if by == "task":
        return run.task
    return f"{run.agent} with {run.model}" if run.model else run.agent


def _group(name: str, runs: Sequence[RunDiagnosis]) -> GroupLine:
    tasks = tuple(sorted({run.task for run in runs}))
    # a mean over some of a task's benchmarks is none with a mean over all of them
    comparable = len({(run.task, *sorted(run.mean_of.items())) for run in runs}) == 1

    def score(get: Callable[[RunDiagnosis], float | None]) -> Figure | None:
        return _figure([get(run) for run in runs]) if comparable else None

    def share(get: Callable[[RunDiagnosis], Count]) -> Figure | None:
        return _figure([get(run).share for run in runs], share=True)

    return GroupLine(
        name=name,
        runs=tuple(run.run_id for run in runs),
        tasks=tasks,
        attempts=sum(run.summary.shares["new family"].of for run in runs),
        new_family=share(lambda run: run.summary.shares["new family"]),
        grounded=share(lambda run: run.summary.grounded),
        shallow=share(lambda run: run.summary.shallow),
        effective=share(lambda run: run.summary.effective),
        gap=_figure([run.summary.gap for run in runs], share=True),
        best=score(lambda run: run.summary.best),
        sealed=score(lambda run: run.sealed),
        beyond_chance=score(lambda run: run.summary.beyond_chance),
        dollars=_figure([run.dollars or None for run in runs]),
        agent_seconds=_figure([run.agent_seconds for run in runs]),
        host_seconds=_figure([run.host_seconds for run in runs]),
    )


def _figure(values: Sequence[float | None], *, share: bool = False) -> Figure | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = statistics.fmean(known)
    if len(known) < 2:
        return Figure(mean=mean, runs=1, interval=None)
    half = t_quantile(0.975, len(known) - 1) * statistics.stdev(known) / math.sqrt(len(known))
    low, high = mean - half, mean + half
    if share:
        low, high = max(0.0, low), min(1.0, high)
    return Figure(mean=mean, runs=len(known), interval=Interval(low=low, high=high))


# -- score against iterations ----------------------------------------------------------------------


class Band(Entry):
    """Best public score so far over the runs of one agent and scaffold on one task, iteration by iteration."""

    task: str
    name: str
    """``adapt, codex``."""
    runs: int
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """Smallest of the runs."""
    high: tuple[float, ...]
    random: tuple[float, ...]
    """Expected maximum of as many random selections; empty: not measured."""


def bands(runs: Sequence[RunDiagnosis]) -> list[Band]:
    """One band for each task, agent and scaffold; a run that ended early stays at its best."""
    members: dict[tuple[str, str], list[RunDiagnosis]] = {}
    for run in runs:
        members.setdefault((run.task, f"{run.scaffold}, {key(run, 'agent')}"), []).append(run)
    found = []
    for (task, name), own in sorted(members.items()):
        courses = [course for run in own if (course := best_so_far(run))]
        if not courses:
            continue
        length = max(len(course) for course in courses)
        whole = [[*course, *[course[-1]] * (length - len(course))] for course in courses]
        columns = list(zip(*whole, strict=True))
        found.append(
            Band(
                task=task,
                name=name,
                runs=len(courses),
                mean=tuple(statistics.fmean(column) for column in columns),
                low=tuple(min(column) for column in columns),
                high=tuple(max(column) for column in columns),
                random=max((_by_chance(run) for run in own), key=len),
            )
        )
    return found


def _by_chance(run: RunDiagnosis) -> tuple[float, ...]:
    """Expected maximum of random selections after each scored attempt, as the best so far has its steps."""
    scored = (one.features.mean is not None for one in run.attempts)
    return tuple(itertools.compress(run.expected_maximum, scored))


def best_so_far(run: RunDiagnosis) -> list[float]:
    """Best public score after each scored attempt."""
    course: list[float] = []
    for one in run.attempts:
        if one.features.mean is not None:
            course.append(max([one.features.mean, *course[-1:]]))
    return course
