"""One run's folder.

::

    <runs>/<run id>/
        run.json               RunSpec: everything decided before the agent started
        events.jsonl           what happened, in order; append-only
        references.json        the reference table used, if there was one
        attempts/001/          submission.json, selection.jsonl (kind uids: selection.npy), policy/   written before
                               the acceptance is told
                               result.json, items-public.jsonl, items-sealed.jsonl   before the feedback is told
                               evaluation-public.json, evaluation-sealed.json   what answered and graded
                               further files of the task's evaluator, e.g. eval_results.jsonl
                               model/                 the trained model, while the task's policy keeps it
        refusals/001.json
        refusals/001/          policy/, selection.jsonl or .npy: what was refused
        history/               what the agent was given: scores, its rows, the signals it bought
        headline/attempt-NNN/seed-K/   scores.json and item results
        headline.json
        prompt.md              what an agent with a model was told
        model/                 exchanges.jsonl and bodies/: every request to the model, and its reply
        native/turn-NNN/       the agent program's own session log
        trajectory.json        the agent's steps, in ATIF
        agent.log, workers.log, server.log
        report.html
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from curation_harness.errors import RecordInvalid, RunBusy, RunExists, RunFolderUnusable, RunUnknown
from curation_harness.record import files
from curation_harness.record.entry import Entry
from curation_harness.record.events import EventLog
from curation_harness.record.layout import refuse_links
from curation_harness.record.models import (
    FORMAT,
    AttemptResult,
    AttemptSubmission,
    Headline,
    ReferenceTable,
    Refusal,
    RunSpec,
)
from curation_harness.record.upgrades import STEPS, upgraded
from curation_plugins.selection import Selection
from curation_sandbox.errors import DiskFull

ModelT = TypeVar("ModelT", bound=Entry)

LOCK: Final = "run.lock"
"""Held by the process that works on the run."""


class RunRecord:
    """Reads and writes one run folder. Open one with ``create``, ``open_run`` or ``find``."""

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self.folder = folder
        self.spec = spec
        self.events = EventLog(folder / "events.jsonl")

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, runs: Path, spec: RunSpec, references: ReferenceTable | None, prompt: str | None = None
    ) -> RunRecord:
        """Begin a new record; the folder appears with all that belongs to its beginning, or not at all.

        Args:
            prompt: what an agent with a model is told.

        Raises:
            RunExists: the id is taken. RunFolderUnusable: ``runs`` cannot be written.
        """
        folder = runs / spec.run_id
        scratch = runs / f".{spec.run_id}.{os.getpid()}.tmp"
        if folder.exists():
            raise RunExists(f"run {spec.run_id} exists in {runs}", hint="Choose another --run-id.")
        try:
            (scratch / "attempts").mkdir(parents=True)
            (scratch / "refusals").mkdir()
            (scratch / "headline").mkdir()
            files.write_model(scratch / "run.json", spec)
            if references is not None:
                files.write_model(scratch / "references.json", references)
            if prompt is not None:
                files.write(scratch / "prompt.md", prompt.encode())
            EventLog(scratch / "events.jsonl").append("created", spec=field_digests(scratch / "run.json"))
            scratch.rename(folder)
            files.sync_folder(runs)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if error.errno == errno.ENOSPC:
                raise DiskFull(
                    f"no space left for a run in {runs}", hint="Free space or name another --run-dir."
                ) from error
            if folder.exists():  # another launch took the id in between
                raise RunExists(f"run {spec.run_id} exists in {runs}") from error
            raise RunFolderUnusable(
                f"{runs} cannot hold a run: {error.strerror or error}",
                hint="Name a writable folder with --run-dir.",
            ) from error
        return cls(folder, spec)

    @classmethod
    def open_run(cls, folder: Path) -> RunRecord:
        """Open an existing record.

        Raises:
            RunUnknown: there is no folder. RecordInvalid: it is no run record, damaged, or of a newer version.
        """
        if folder.is_symlink():
            raise RecordInvalid(
                f"{folder} is a link, and no run record is read through one",
                hint=f"The folder itself is {folder.resolve()}: name that.",
            )
        if not folder.is_dir():
            raise RunUnknown(f"no run folder {folder}", hint="`harness runs` lists the runs there are.")
        refuse_links(folder)
        path = folder / "run.json"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise RecordInvalid(f"{folder} is no run record: run.json cannot be read") from None
        return cls(folder, _parse_spec(path, text))

    @classmethod
    def find(cls, runs: Path, name: str) -> RunRecord:
        """Open a run by id, by a prefix that only one run has, by path, or as ``last``."""
        if "/" in name or (name not in {"last", "."} and Path(name, "run.json").is_file()):
            return cls._alone(Path(name).absolute())  # not resolved: a link is refused
        ids = run_ids(runs)
        if not ids:
            raise RunUnknown(f"there are no runs in {runs} yet", hint="`harness launch` makes one.")
        if name == "last":
            return cls._alone(runs / max(ids, key=lambda run: (runs / run / "run.json").stat().st_mtime_ns))
        matching = [run for run in ids if run == name] or [run for run in ids if name and run.startswith(name)]
        if len(matching) == 1:
            return cls._alone(runs / matching[0])
        what = f"{len(matching)} runs begin with {name!r}" if matching else f"no run {name!r}"
        raise RunUnknown(f"{what} in {runs}", hint="`harness runs` lists the runs there are.")

    @classmethod
    def _alone(cls, folder: Path) -> RunRecord:
        """Open a record, the only one of its id in the folder of runs.

        Raises:
            RecordInvalid: two have it: containers, mounts and locks go by the id. Nothing was touched.
        """
        record = cls.open_run(folder)
        run_id = record.spec.run_id
        others = same_id(folder.parent, run_id) if folder.name != run_id else []
        others = [other for other in others if other != folder.name]
        if others:
            raise RecordInvalid(
                f"two records with one id: {folder} and {folder.parent / others[0]} both hold run {run_id}",
                hint="One of them is a copy: move it out of the folder of runs.",
            )
        return record

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises:
            RunBusy: another process holds it. RecordInvalid: its lock cannot be opened.
        """
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunBusy(
                f"another process works on run {self.spec.run_id}",
                hint="Wait for it, or end it with Ctrl-C there.",
            ) from None
        except OSError as error:
            raise RecordInvalid(f"{self.folder}: {LOCK} cannot be opened: {error.strerror}") from None
        try:
            self.events.reload()  # another process may have appended since this record was opened
            yield
        finally:
            lock.release()

    def held(self) -> bool:
        """Whether a process is working on the run now."""
        return held(self.folder)

    def written_format(self) -> int:
        """The format of run.json as it lies there; ``spec`` is of this version's."""
        tree = _tree_of((self.folder / "run.json").read_text(encoding="utf-8"))
        found = tree.get("format") if tree is not None else None
        return found if isinstance(found, int) else FORMAT

    def settle_format(self) -> None:
        """Write run.json anew where it is of an older format: a process of this version is about to write into the
        record. Its time stays, by which runs are ordered."""
        path = self.folder / "run.json"
        if self.written_format() != FORMAT:
            times = path.stat()
            files.write_model(path, self.spec)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    # -- attempts --------------------------------------------------------------------------------

    def attempt_folder(self, n: int) -> Path:
        return self.folder / "attempts" / f"{n:03d}"

    def selection_file(self, n: int) -> Path:
        """The frozen selection of attempt ``n``."""
        return self.attempt_folder(n) / self.spec.task.submission.canonical_name

    def write_submission(self, submission: AttemptSubmission, chosen: Selection, policy: Mapping[str, Path]) -> None:
        """Write an accepted submission's folder; it appears whole or not at all."""
        target = self.attempt_folder(submission.n)
        with self._filled(target, chosen, policy) as scratch:
            (scratch / "submission.json").write_bytes(submission.model_dump_json(indent=1).encode() + b"\n")
            files.publish_folder(scratch, target)

    def submissions(self) -> tuple[AttemptSubmission, ...]:
        """Accepted submissions in order."""
        folders = sorted((self.folder / "attempts").glob("[0-9][0-9][0-9]*"))
        return tuple(read(folder / "submission.json", AttemptSubmission) for folder in folders)

    def write_result(self, result: AttemptResult) -> None:
        files.write_model(self.attempt_folder(result.n) / "result.json", result)

    def result(self, n: int) -> AttemptResult | None:
        path = self.attempt_folder(n) / "result.json"
        return read(path, AttemptResult) if path.exists() else None

    def results(self) -> tuple[AttemptResult, ...]:
        found = (self.result(submission.n) for submission in self.submissions())
        return tuple(result for result in found if result is not None)

    # -- the rest --------------------------------------------------------------------------------

    def refusal_folder(self, n: int) -> Path:
        return self.folder / "refusals" / f"{n:03d}"

    def refused_file(self, n: int) -> Path:
        """The selection of refusal ``n``, where its rows could be read."""
        return self.refusal_folder(n) / self.spec.task.submission.canonical_name

    def write_refusal(self, refusal: Refusal, chosen: Selection | None, policy: Mapping[str, Path]) -> None:
        """Write a refusal with what was refused.

        Args:
            chosen: the rows, where they could be read.
            policy: the files that are kept.
        """
        target = self.refusal_folder(refusal.n)
        shutil.rmtree(target, ignore_errors=True)  # of a process that was killed before the refusal was written
        with self._filled(target, chosen, policy) as scratch:
            files.publish_folder(scratch, target)
        files.write_model(target.with_suffix(".json"), refusal)

    @contextmanager
    def _filled(self, target: Path, chosen: Selection | None, policy: Mapping[str, Path]) -> Iterator[Path]:
        """The folder of something that was handed in, under another name until it is published; what goes wrong till
        then leaves nothing of it."""
        scratch = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            (scratch / "policy").mkdir(parents=True)
            if chosen is not None:
                chosen.write(scratch / self.spec.task.submission.canonical_name)
            for name, source in policy.items():
                place = scratch / "policy" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
            yield scratch
        except BaseException:  # Ctrl-C and a full disk too: nothing half-made stays
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(read(path, Refusal) for path in sorted((self.folder / "refusals").glob("[0-9]*.json")))

    def write_headline(self, headline: Headline) -> None:
        files.write_model(self.folder / "headline.json", headline)

    def headline(self) -> Headline | None:
        path = self.folder / "headline.json"
        return read(path, Headline) if path.exists() else None

    def references(self) -> ReferenceTable | None:
        path = self.folder / "references.json"
        return read(path, ReferenceTable) if path.exists() else None


def held(folder: Path) -> bool:
    """Whether a process is working on the run of a folder now. Looking writes nothing: a record may lie where nobody
    may.

    Raises:
        RecordInvalid: its lock cannot be opened, or is a link.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RecordInvalid(f"{folder}: run.lock cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # what FileLock takes on Linux
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def read(path: Path, model: type[ModelT]) -> ModelT:
    """Read one file of a record.

    Raises:
        RecordInvalid: missing, damaged, or not what the format says.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordInvalid(f"{path}: {error.strerror}", hint="The record is incomplete.") from None
    except ValidationError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: ValidationError) -> RecordInvalid:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return RecordInvalid(
        f"{path}: {where + ': ' if where else ''}{first['msg']}", hint="The record was changed or damaged."
    )


def field_digests(run_json: Path) -> dict[str, str]:
    """The first 16 digits of the SHA-256 of every field of run.json as it stands: a field that was changed since can
    be named."""
    tree = json.loads(run_json.read_bytes())
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
        for name, value in tree.items()
    }


def run_ids(runs: Path) -> list[str]:
    """Ids of the runs in a folder; anything without a run.json is not a run."""
    if not runs.is_dir():
        return []
    return sorted(
        path.name for path in runs.iterdir() if not path.name.startswith(".") and (path / "run.json").is_file()
    )


def same_id(runs: Path, run_id: str) -> list[str]:
    """Names of the folders in ``runs`` that hold a run of this id."""
    return [name for name in run_ids(runs) if name == run_id or _id_in(runs / name / "run.json") == run_id]


def _id_in(path: Path) -> str | None:
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    found = tree.get("run_id") if isinstance(tree, dict) else None
    return found if isinstance(found, str) else None


def _parse_spec(path: Path, text: str) -> RunSpec:
    tree = _tree_of(text)
    found = tree.get("format") if tree is not None else None
    if tree is not None and not {"format", "run_id"} & tree.keys():
        raise RecordInvalid(f"{path.parent} is no run record: its run.json is something else's")
    if isinstance(found, int) and found > FORMAT:  # also where it would parse: its meaning may have changed
        raise RecordInvalid(
            f"{path}: record format {found}; this version reads up to {FORMAT}",
            hint="Install a newer curation-harness.",
        )
    try:
        if tree is not None and type(found) is int and found in STEPS:
            return RunSpec.model_validate_json(json.dumps(upgraded(tree, FORMAT)))
        return RunSpec.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(path, error) from None


def _tree_of(text: str) -> dict[str, Any] | None:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None
