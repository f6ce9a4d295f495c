"""Where a rerun is written: ``reruns/NNN-KIND…``, numbered over all kinds."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Final, Literal, get_args

from curation_harness.record.store import RunRecord
from curation_sandbox import mounts

Kind = Literal["replay", "submissions", "live"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


def new_folder(record: RunRecord, kind: Kind) -> Path:
    """Make the folder of the next rerun; its verdict is written beside it, with the suffix ``.json``.

    The caller holds the record's lock, so that a folder without a verdict is of a killed rerun: it goes, unless it is
    still mounted.
    """
    reruns = record.folder / "reruns"
    for killed in (found for kind in KINDS for found in reruns.glob(f"[0-9][0-9][0-9]-{kind}/")):
        if not killed.with_suffix(".json").exists() and not mounts.below(killed):
            withdraw(killed)
    taken = {path.name[:3] for path in reruns.glob("[0-9][0-9][0-9]*")}
    number = next(number for number in count(1) if f"{number:03d}" not in taken)
    folder = reruns / f"{number:03d}-{kind}"
    folder.mkdir(parents=True)
    return folder


def withdraw(folder: Path) -> None:
    """Of a rerun that came to no verdict."""
    shutil.rmtree(folder, ignore_errors=True)
