"""Labelled policies to hold the labeller against: folders of cases, each a few tries and the label of the last."""

from __future__ import annotations

import functools
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import Field, ValidationError

from curation_harness.diagnostics.judgement import Label
from curation_harness.diagnostics.tries import Outcome, Try, claims, read_code, read_documents
from curation_harness.errors import RecordInvalid
from curation_harness.record.entry import Entry
from curation_plugins.policies.code import PolicyCode

CASE: Final = "case.yaml"


class EarlierPolicy(Entry):
    policy: str
    """Folder under ``policies/`` of the half."""
    outcome: Literal["accepted", "refused", "failed"]
    mean: float | None = None
    """Public score."""
    reason: str = ""
    """Why it was refused, or failed."""


class LaterPolicy(Entry):
    policy: str


class CaseFile(Entry):
    """``case.yaml``."""

    label: Label
    shallow: bool
    why: str
    methods: tuple[str, ...] = ()
    hard: bool = False
    """Disguised or otherwise unfair."""
    earlier: tuple[EarlierPolicy, ...] = Field(max_length=100)
    later: LaterPolicy


@dataclass(frozen=True, kw_only=True)
class Case:
    half: str
    name: str
    told: CaseFile
    before: tuple[Try, ...]
    later: Try


def read_corpus(folder: Path) -> list[Case]:
    """Every case under ``folder``: a half of a corpus, or the folder that holds the halves.

    Raises:
        RecordInvalid: there is none, or one is broken; names the file.
    """
    files = sorted(folder.glob(f"*/{CASE}")) or sorted(folder.glob(f"*/*/{CASE}"))
    if not files:
        raise RecordInvalid(f"{folder} holds no cases", hint=f"A case is a folder with a {CASE}.")
    return [_case(path) for path in files]


def _case(path: Path) -> Case:
    half = path.parent.parent
    try:
        told = CaseFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise RecordInvalid(f"{path}: {where}") from None
    before = tuple(_tries(half, told))
    later = _try(half, told.later.policy, len(before), len(before) + 1, "scored", None, "")
    return Case(half=half.name, name=path.parent.name, told=told, before=before, later=later)


def _tries(half: Path, told: CaseFile) -> Iterator[Try]:
    outcomes: dict[str, Outcome] = {"accepted": "scored", "refused": "refused", "failed": "failed"}
    for place, one in enumerate(told.earlier):
        n = None if one.outcome == "refused" else place + 1
        yield _try(half, one.policy, place, n, outcomes[one.outcome], one.mean, one.reason)


def _try(
    half: Path, policy: str, place: int, n: int | None, outcome: Outcome, mean: float | None, reason: str
) -> Try:
    folder = half / "policies" / policy
    if not folder.is_dir():
        raise RecordInvalid(f"{folder}: no such policy")
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    code, unreadable = _read(folder)
    rows = _rows(half / "selections" / f"{policy}.txt")
    return Try(
        place=place,
        n=n,
        refusal=place + 1 if n is None else None,
        outcome=outcome,
        code=code,
        unreadable=unreadable,
        documents=read_documents(files),
        claims=claims(files),
        rows=rows[0],
        weighted=rows[1],
        mean=mean,
        problems=(reason,) if reason else (),
    )


@functools.cache
def _read(folder: Path) -> tuple[PolicyCode | None, str]:
    """Policies stand in several cases."""
    return read_code({str(path.relative_to(folder)): path for path in folder.rglob("*.py") if path.is_file()})


@functools.cache
def _rows(path: Path) -> tuple[array[int] | None, bool]:
    """Chosen rows, one id or one ``{"row": …, "weight": …}`` a line, and whether they carry weights other than 1; no
    rows where the policy made none."""
    if not path.is_file():
        return None, False
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = array("q", sorted({entry["row"] if isinstance(entry, dict) else int(entry) for entry in entries}))
        return rows, any(isinstance(entry, dict) and entry.get("weight", 1) != 1 for entry in entries)
    except (ValueError, TypeError, KeyError) as error:
        raise RecordInvalid(f"{path}: no selection ({error})") from None
