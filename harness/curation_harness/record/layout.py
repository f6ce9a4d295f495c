"""Which files a run's folder holds, and how each of them is held to what it was.

| stands | held by | files |
|---|---|---|
| ``sealed`` | ``manifest.sha256``, whose digest is the root digest | everything that a run wrote until its end |
| ``beside`` | ``beside.sha256`` | what is made of the record later: report, trajectory, reruns |
| ``model`` | ``model_digest`` of the attempt's result | trained models that are kept |
| ``outside`` | nothing: no part of the record | the sandbox's disks, locks, the two lists themselves |
| ``leftover`` | nothing: a run that goes on or ends removes them | unfinished work of an interrupted run |

A file of no known kind is none of a record's.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from curation_harness.errors import RecordInvalid

Stands = Literal["sealed", "beside", "model", "outside", "leftover"]

MANIFEST: Final = "manifest.sha256"
BESIDE: Final = "beside.sha256"


@dataclass(frozen=True)
class FileKind:
    """One kind of file of a run's folder."""

    name: str
    """As documentation calls it, e.g. ``attempts/NNN/result.json``."""
    pattern: re.Pattern[str]
    """Of its path in the folder, with ``/``."""
    meaning: str
    stands: Stands = "sealed"


def _kind(name: str, pattern: str, meaning: str, stands: Stands = "sealed") -> FileKind:
    return FileKind(name, re.compile(pattern, re.DOTALL), meaning, stands)


_N: Final = "[0-9]{3,}"
_SCORED: Final = rf"(?:attempts/{_N}|headline/attempt-{_N}/seed-[0-9]+)"
_HALF: Final = "(?:public|sealed)"
_DIGEST: Final = "[0-9a-f]{64}"
_DISKS: Final = rf"(?:reruns/{_N}-replay/[^/]+/)?volumes"
"""Of the run's agent, and of one whose replay was killed."""

KINDS: Final = (
    _kind("run.json", r"run\.json", "what was decided before the agent started"),
    _kind("references.json", r"references\.json", "what the run is compared with"),
    _kind("events.jsonl", r"events\.jsonl", "what happened, one line an event"),
    _kind("prompt.md", r"prompt\.md", "what an agent with a model was told"),
    _kind("attempts/NNN/submission.json", rf"attempts/{_N}/submission\.json", "an accepted submission"),
    _kind("attempts/NNN/selection.jsonl", rf"attempts/{_N}/selection\.jsonl", "its rows, frozen"),
    _kind("attempts/NNN/selection.npy", rf"attempts/{_N}/selection\.npy", "its rows, frozen, of kind `uids`"),
    _kind("attempts/NNN/policy/", rf"attempts/{_N}/policy/.+", "the agent's code that chose them"),
    _kind("attempts/NNN/result.json", rf"attempts/{_N}/result\.json", "its scores, or our failure"),
    _kind("attempts/NNN/model/", rf"attempts/{_N}/model/.+", "the trained model, where it is kept", "model"),
    _kind("items-HALF.jsonl", rf"{_SCORED}/items-{_HALF}\.jsonl", "every item's score, beside result or scores"),
    _kind("predictions-HALF.jsonl", rf"{_SCORED}/predictions-{_HALF}\.jsonl", "what the model said to every item"),
    _kind("evaluation-HALF.json", rf"{_SCORED}/evaluation-{_HALF}\.json", "what answered and graded"),
    _kind(
        "headline/attempt-NNN/seed-K/scores.json",
        rf"headline/attempt-{_N}/seed-[0-9]+/scores\.json",
        "the best attempt with a fresh seed",
    ),
    _kind("further files", rf"{_SCORED}/[a-z0-9][a-z0-9._-]*", "scores in the form that others' programs read"),
    _kind("refusals/NNN.json", rf"refusals/{_N}\.json", "why a submission was not accepted"),
    _kind("refusals/NNN/selection.jsonl", rf"refusals/{_N}/selection\.jsonl", "its rows"),
    _kind("refusals/NNN/selection.npy", rf"refusals/{_N}/selection\.npy", "its rows, of kind `uids`"),
    _kind("refusals/NNN/policy/", rf"refusals/{_N}/policy/.+", "its policy, where it is small"),
    _kind("history/history.json", r"history/history\.json", "what the agent was told of its attempts"),
    _kind("history/attempts/N/", r"history/attempts/[0-9]+/selection\.(?:txt|npy)", "its rows, as it gave them"),
    _kind("history/signals/NAME.jsonl", r"history/signals/[^/]+\.jsonl", "the signals it bought"),
    _kind("headline.json", r"headline\.json", "the sealed headline"),
    _kind("model/exchanges.jsonl", r"model/exchanges\.jsonl", "every request to the model and what came of it"),
    _kind("model/bodies/", rf"model/bodies/[0-9a-f]{{2}}/{_DIGEST}\.zst", "their bodies, by SHA-256, compressed"),
    _kind("native/turn-NNN/", rf"native/turn-{_N}/.+", "the agent program's own session log"),
    _kind("blobs/", rf"blobs/blobs/{_DIGEST}", "bytes that the agent sent, by SHA-256"),
    _kind("agent.log", r"agent\.log(?:\.[0-9]+)?", "what the agent's program printed"),
    _kind("workers.log", r"workers\.log", "what trainers and evaluators printed"),
    _kind("server.log", r"server\.log", "failures of ours at a request of the agent's"),
    _kind("report.html", r"report\.html", "the report", "beside"),
    _kind("diagnosis.html", r"diagnosis\.html", "the diagnosis of its attempts", "beside"),
    _kind("trajectory.json", r"trajectory\.json", "the agent's steps in ATIF", "beside"),
    _kind("volumes/", rf"{_DISKS}/.+", "the agent's workspace and home, of a killed replay too", "outside"),
    _kind("reruns/NNN-replay.json", rf"reruns/{_N}-replay\.json", "what a replay found", "beside"),
    _kind("reruns/NNN.json", rf"reruns/{_N}(?:-[a-z]+)?\.json", "what a rerun found", "beside"),
    _kind("reruns/", r"reruns(?:\.log|/[^.].*)", "logs of reruns, and records of their own", "beside"),
    _kind("beside.sha256", r"beside\.sha256", "list of what was made later", "outside"),
    _kind("manifest.sha256", r"manifest\.sha256", "list of the record's files", "outside"),
    _kind("run.lock", r"run\.lock", "held by the process that works on the run", "outside"),
    _kind("agent-clock", r"agent-clock", "the agent's time since the last event", "leftover"),
    _kind("policies/", r"policies/.+", "policies that are being run again", "leftover"),
    _kind("blobs/incoming/", r"blobs/incoming/.+", "uploads that are not through", "leftover"),
    # native logs and policies may have hidden files; these are matched above
    _kind("work in progress", r"(?:.+/)?\.[^/]+(?:/.+)?", "files that are being written", "leftover"),
)
"""The first that matches says what a file is."""

_TREES: Final = re.compile(rf"{_DISKS}|policies")
"""Folders that are not looked into: the agent's own disks may hold anything."""


def kind_of(path: str) -> FileKind | None:
    """What a file of a record is, by its path in the folder; none: no record has such a file."""
    return next((kind for kind in KINDS if kind.pattern.fullmatch(path)), None)


def walk(folder: Path, *, strict: bool = True) -> Iterator[tuple[str, FileKind]]:
    """Every file of a run's folder with its kind, sorted by path.

    Args:
        strict: whether anything else in the folder is an error, and not passed by.

    Raises:
        RecordInvalid: a link, something that is no file, or a file that no record has; with its name.
    """
    for path in sorted(_paths(folder, "", strict=strict)):
        kind = kind_of(path)
        if kind is None and not strict:
            continue
        if kind is None:
            raise RecordInvalid(
                f"{folder}: {shown(path)} is no file of a run record", hint="Move it out of the record's folder."
            )
        yield path, kind


def refuse_links(folder: Path, below: str = "") -> None:
    """Look through a record before it is read: a file behind a link, a pipe or a device is no part of it, and may be
    anything. A process may be working on the record.

    Raises:
        RecordInvalid: there is one; with its name.
    """
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):  # gone again
        return
    except OSError as error:
        raise RecordInvalid(f"{folder} cannot be read: {error.strerror}") from None
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if not _TREES.fullmatch(path):
                refuse_links(Path(entry.path), f"{path}/")
        elif not entry.is_file(follow_symlinks=False):
            raise _not_a_file(folder, path, link=entry.is_symlink())


def _not_a_file(folder: Path, path: str, *, link: bool) -> RecordInvalid:
    what = "a link" if link else "neither a file nor a folder"
    return RecordInvalid(
        f"{folder}: {shown(path)} is {what}; a run record holds files and folders only",
        hint="The record was changed; nothing behind the link was read." if link else "The record was changed.",
    )


def _paths(folder: Path, below: str, *, strict: bool) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise RecordInvalid(f"{folder} cannot be read: {error.strerror}") from None
    for entry in entries:
        path = f"{below}{entry.name}"
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if not _TREES.fullmatch(path):
                yield from _paths(Path(entry.path), f"{path}/", strict=strict)
        elif stat.S_ISREG(mode):
            yield path
        elif strict:
            raise _not_a_file(folder, entry.name, link=stat.S_ISLNK(mode))


def shown(path: str) -> str:
    """A path as it can be printed: agents may have named the file."""
    return path if path.isprintable() else ascii(path)
