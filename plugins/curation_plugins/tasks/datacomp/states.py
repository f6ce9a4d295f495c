"""States of a training on disk, to go on from after a crash."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, Final

import torch

NAME: Final = "state.pt"


class States:
    """The last state of one training in a folder; another training's is not taken for it."""

    def __init__(self, folder: Path | None, key: str) -> None:
        """
        Args:
            folder: where to keep it; none: nothing is kept.
            key: says what is trained: two trainings with equal keys go through the same states.
        """
        self._path = None if folder is None else folder / NAME
        self._key = key

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the last one; at no moment is there less than one whole state."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        with scratch.open("wb") as file:
            torch.save({**state, "key": self._key}, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)

    def load(self) -> dict[str, Any] | None:
        """The last one, on the CPU; none if there is none of this training, or it cannot be read."""
        if self._path is None or not self._path.exists():
            return None
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        return found if isinstance(found, dict) and found.get("key") == self._key else None
