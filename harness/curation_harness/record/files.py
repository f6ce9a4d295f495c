"""Durable writes: what a reader finds is either the old state or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel


def write(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file, fsync, rename, fsync of the folder."""
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    except BaseException:  # Ctrl-C too, and a full disk: half a file would take the little room there is
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_model(path: Path, model: BaseModel) -> None:
    write(path, model.model_dump_json(indent=1).encode() + b"\n")


def publish_file(scratch: Path, target: Path) -> None:
    """Make a finished file visible under its name, with all of its bytes on disk first."""
    _sync_file(scratch)
    scratch.replace(target)
    sync_folder(target.parent)


def publish_folder(scratch: Path, target: Path) -> None:
    """Make a finished folder visible under its name, with everything in it on disk first."""
    for path in scratch.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            _sync_file(path)
    sync_folder(scratch)
    scratch.rename(target)
    sync_folder(target.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
