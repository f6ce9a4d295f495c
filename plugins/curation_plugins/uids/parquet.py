"""A hostile parquet file of uids: read by a child process, whose memory, time and output are bounded.

Arrow is a large reader of hostile bytes: what it breaks on must not be the harness. The child
(``parquet_child``) turns the file into plain entries.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from curation_plugins.errors import ProblemList, ReaderFailed
from curation_plugins.uids.table import CHUNK
from curation_sandbox import owners

ENTRY: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("weight", "<f8")])
"""What the child writes of each row; a weight that is missing is not a number."""
MEMORY: Final = 2 * 2**30
"""Address space of the child, bytes."""
SECONDS: Final = 300
"""Processor seconds of the child; 12.8 million uids take about ten."""
NO_ARROW: Final = 3
"""Exit status of a child that has no pyarrow: ours."""
UNREADABLE: Final = 4
"""Exit status of a child that Arrow could not bring further."""
NO_ROOM: Final = 5
"""Exit status of a child that found no room for what it read: ours."""


class Found(BaseModel):
    """What the child says; it read hostile bytes, and is not trusted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: int = Field(ge=0)
    wrong: int = Field(default=0, ge=0)
    """Rows whose uid is none."""
    first_wrong: int = Field(default=0, ge=0)
    """1-based."""
    refused: Annotated[str, StringConstraints(max_length=400)] = ""
    """Why the file is no list of uids."""


@contextmanager
def read_parquet(path: Path, entries_max: int, problems: ProblemList) -> Iterator[Iterator[NDArray[np.void]]]:
    """Entries of dtype ``ENTRY``, some at a time; what cannot be read becomes a problem.

    Raises:
        ReaderFailed: the child could not be started, lacks pyarrow, or found no room on the disk: ours.
    """
    with owners.scratch() as scratch:
        out = scratch / "entries"
        found = _child(path, out, entries_max, problems)
        if found is None:
            yield iter(())
            return
        if found.refused:
            problems.add("unreadable", ascii(found.refused)[1:-1])
        if found.wrong:
            what = f"{found.wrong:,} of {found.entries:,} rows hold no uid of 32 hexadecimal digits"
            problems.add("not-a-uid", f"{what}; the first is row {found.first_wrong:,}", found.first_wrong)
        if not problems and out.stat().st_size != found.entries * ENTRY.itemsize:
            problems.add("unreadable", "the parquet file holds another number of rows than it says")
        yield iter(()) if problems else _entries(out)


def _entries(out: Path) -> Iterator[NDArray[np.void]]:
    with out.open("rb") as file:
        while piece := file.read(CHUNK * ENTRY.itemsize):
            yield np.frombuffer(piece, ENTRY)


def _child(path: Path, out: Path, entries_max: int, problems: ProblemList) -> Found | None:
    module = "curation_plugins.uids.parquet_child"
    told = (str(path), str(out), str(entries_max), str(MEMORY), str(SECONDS))
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")}
    plain = {"PATH": os.environ.get("PATH", ""), "ARROW_DEFAULT_MEMORY_POOL": "system", **threads}
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-B", "-m", module, *told],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
            env=plain,
        )
    except subprocess.TimeoutExpired:
        problems.add("unreadable", f"the parquet file could not be read within {2 * SECONDS} s")
        return None
    except OSError as error:
        raise ReaderFailed(f"the reader of parquet files could not be started: {error}") from error
    if ended.returncode == NO_ARROW:
        raise ReaderFailed(
            "pyarrow is not installed, and a parquet file was handed in", hint="Install curation-harness[train]."
        )
    if ended.returncode == NO_ROOM:
        raise ReaderFailed(
            f"there is no room in {out.parent.parent} for what a parquet file holds",
            hint=f"Up to {entries_max * ENTRY.itemsize:,} bytes are needed there; TMPDIR names another place.",
        )
    try:
        if ended.returncode == 0:
            return Found.model_validate_json(ended.stdout)
    except ValidationError:
        pass
    why = "cannot be read: it is damaged, or decodes to more than a list of uids can hold"
    problems.add("unreadable", f"the parquet file {why}; hand in a .npy file instead")
    return None
