"""Benchmark items and their halves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Split = Literal["public", "sealed"]


class Item(BaseModel):
    """One question with its gold answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str
    """Which benchmark it belongs to; picks the scoring rule."""
    item: str
    """Unique within the benchmark."""
    group: str
    """Items that share an image or a source are not independent and never straddle the halves."""
    image: str
    """Path below the benchmarks folder."""
    question: str
    """Asked after the image."""
    answer: str
    """Gold."""


def half(group: str, salt: str) -> Split:
    """Which half a group belongs to: a hash, so that it stays when items are added."""
    digest = hashlib.sha256(f"{salt}/{group}".encode()).digest()
    return "public" if digest[0] % 2 == 0 else "sealed"


def read_items(folder: Path, split: Split) -> list[Item]:
    """All items of a half, from `folder/public.jsonl` or `folder/sealed.jsonl`."""
    with (folder / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [Item.model_validate_json(line) for line in lines]


def write_items(folder: Path, split: Split, items: Sequence[Item]) -> None:
    """Writes a half, one JSON object a line."""
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(item.model_dump_json() + "\n" for item in items)
