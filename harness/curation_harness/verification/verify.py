"""The checks of ``harness verify``, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curation_harness.errors import RecordInvalid, RunBusy
from curation_harness.record import sealing
from curation_harness.record.event_order import follow
from curation_harness.record.layout import BESIDE, MANIFEST, walk
from curation_harness.record.schemas import check_types
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord, field_digests
from curation_harness.record.upgrades import SEALED
from curation_harness.verification import handed_in, scoring, spending
from curation_harness.verification.outcome import Check, Verification, holds, not_checked, unfit
from curation_harness.verification.scoring import Here
from curation_plugins import assets as task_assets
from curation_plugins.registry import Registry
from curation_sandbox.errors import CurationError
from curation_sandbox.spec import format_size


def verify(record: RunRecord, here: Here, root: str | None = None) -> Verification:
    """Check a record until something does not fit. Writes nothing.

    Args:
        root: the root digest that the record must have.

    Raises:
        RunBusy: a process works on the run.
    """
    if record.held():
        raise RunBusy(
            f"another process works on run {record.spec.run_id}",
            hint="Wait for it: a record that is being written cannot be held against anything.",
        )
    checks: list[Check] = []
    problem = None
    try:
        for check in _all(record, here, root):
            checks.append(check)  # one by one: what held before the first problem is told, too
    except CurationError as error:
        problem = error.message
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, OSError) as error:
        # every file is what its type says, and together they make no sense: somebody wrote them for that
        problem = f"the record cannot be worked through: {type(error).__name__}: {error!s:.200}"
    return Verification(
        run_id=record.spec.run_id,
        status=status(record),
        format=record.written_format(),
        root=sealing.root(record.folder),
        checks=tuple(checks),
        problem=problem,
    )


def _all(record: RunRecord, here: Here, root: str | None) -> Iterator[Check]:
    folder = record.folder
    yield from _files(record, root)
    typed = check_types(folder, reruns=record.written_format() >= SEALED)
    yield holds("format", f"run.json and {typed} more files are what format {record.written_format()} says")
    events = follow(record.events.all())
    _check_torn(record)
    _check_spec(record)
    yield holds("events", f"{len(record.events.all())}, in an order that a run can have")
    yield from handed_in.check(record, events)
    yield from spending.check(record, events)
    scoring.ended_rightly(record, events)
    yield from scoring.check(record, here)


# -- files -------------------------------------------------------------------------------------------


def _files(record: RunRecord, root: str | None) -> Iterator[Check]:
    folder, found = record.folder, sealing.root(record.folder)
    if root is not None and found != root:
        if found is None:
            unfit(str(folder), f"it has no root digest, for it is not sealed; {root} was expected")
        raise RecordInvalid(
            f"{folder}: the root digest is {found}; {root} was expected",
            hint="This is another record than the one that digest was printed for, or it was changed since.",
        )
    state = status(record)
    for path, kind in walk(folder):
        if kind.name == "run.lock" and (folder / path).stat().st_size:
            unfit("run.lock", "it is not empty; nothing is ever written into it")
        if kind.stands == "leftover" and state in ("scored", "empty"):
            unfit(str(folder), f"{path!a} was left over by a process, and the run has ended")
    if found is not None:
        count, size = sealing.check_sealed(folder)
        yield holds("files", f"{count} ({format_size(size)}) are what {MANIFEST} lists")
    elif record.written_format() < SEALED:
        yield not_checked("files", f"format {record.written_format()} has no list of them")
    elif state in ("scored", "empty"):
        raise RecordInvalid(
            f"{folder}: {MANIFEST} is missing; the run has ended, and was sealed then",
            hint=f"If its process was killed at that very moment, `harness finish {record.spec.run_id}` seals it.",
        )
    else:
        yield not_checked("files", "the run's process was killed before it could list them; the run is not over")
    if (folder / BESIDE).exists() or found is not None:
        yield holds("made later", f"{sealing.check_beside(folder)} files are what {BESIDE} lists")


def _check_torn(record: RunRecord) -> None:
    """A sealed record has whole lines only."""
    path = record.folder / "events.jsonl"
    if sealing.root(record.folder) is not None and not path.read_bytes().endswith(b"\n"):
        unfit("events.jsonl", "its last line is not whole")


def _check_spec(record: RunRecord) -> None:
    """Every field of run.json is the one that the first event tells of."""
    created = record.events.of("created")[0].data.get("spec", {})
    found = field_digests(record.folder / "run.json")
    for name, then in created.items():
        if found.get(name) != then:
            unfit("run.json", f"{name} is another one than when the run began, says events.jsonl")


# -- the task ----------------------------------------------------------------------------------------


def what_is_here(record: RunRecord, registry: Registry, cache: Path) -> Here:
    """The run's task and its files, where this machine has them; nothing is made or fetched."""
    name = record.spec.task.name
    if name not in {task.name for task in registry.tasks}:
        return Here(None, None, f"no plugin here has the task {name}")
    try:
        task = registry.tasks.get(name).with_config(record.spec.task)
        assets = task_assets.folder(cache, task)
        if not assets.is_dir():
            return Here(task, None, f"the files of task {name} are not here")
        if task_assets.digest(assets) != record.spec.assets_digest:
            return Here(task, None, f"the files of task {name} here are not those the run was made with")
        task_assets.verify(assets)
    except (CurationError, OSError) as error:
        return Here(None, None, f"task {name} cannot be used here: {error}")
    return Here(task, assets)
