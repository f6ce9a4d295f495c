"""Benchmark files in the true TSV layout with made content, and items made by hand."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.tsv import TsvFile


def png(colour: int, size: int = 24) -> bytes:
    """A small image of one colour; another number is another image."""
    buffer = io.BytesIO()
    shade = (colour % 256, colour // 256 % 256, 128)
    Image.new("RGB", (size, size), shade).save(buffer, "PNG")
    return buffer.getvalue()


def encoded(colour: int) -> str:
    return base64.b64encode(png(colour)).decode()


def write_tsv(path: Path, rows: Sequence[Mapping[str, Any]], algorithm: str = "sha256") -> TsvFile:
    """Writes rows as pandas does; the columns are those of the first row. An `image` of a number is drawn."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            image = row.get("image")
            writer.writerow({**row, "image": encoded(image)} if isinstance(image, int) else row)
    digest = hashlib.new(algorithm, path.read_bytes(), usedforsecurity=False).hexdigest()
    return TsvFile(path=path, digest=f"{algorithm}:{digest}")


def item(benchmark: str, name: str = "1", **fields: Any) -> BenchmarkItem:
    """An item with what the test at hand needs."""
    known = {"prompt": (0, "?"), "images": ("images/x.png",), "max_tokens": 8, "question": "?", "answer": "A"}
    return BenchmarkItem(**{"benchmark": benchmark, "item": name, "group": name, **known, **fields})
