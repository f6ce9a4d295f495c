"""Benchmark items on disk, and their halves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem

Split = Literal["public", "sealed"]


def half(group: str, salt: str) -> Split:
    """Which half a group belongs to: a hash, so that it stays when items are added."""
    digest = hashlib.sha256(f"{salt}/{group}".encode()).digest()
    return "public" if digest[0] % 2 == 0 else "sealed"


def read_items(folder: Path, split: Split) -> list[BenchmarkItem]:
    """All items of a half, from `folder/public.jsonl` or `folder/sealed.jsonl`."""
    with (folder / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [BenchmarkItem.model_validate_json(line) for line in lines]


def write_items(folder: Path, split: Split, items: Sequence[BenchmarkItem]) -> None:
    """Writes a half, one JSON object a line."""
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(item.model_dump_json() + "\n" for item in items)
