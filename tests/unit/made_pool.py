"""A pool in which the right answer of a selection method is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
from PIL import Image
from pyarrow import parquet

from curation_plugins.agents.programs.baseline.selection.method import Method
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import run


def make_pool(folder: Path, rows: list[dict[str, Any]], columns: dict[str, list[Any]] | None = None) -> Pool:
    """Rows given as source, text, image (an 8x8 array or None); columns go to signals.parquet."""
    folder.mkdir(exist_ok=True)
    lines = []
    for place, row in enumerate(rows):
        name = None
        if row.get("image") is not None:
            name = f"{place}.png"
            Image.fromarray(row["image"]).save(folder / name)
        lines.append(
            json.dumps(
                {
                    "id": f"{place:04d}",
                    "source": row.get("source", "one"),
                    "image": name,
                    "conversations": [
                        {"from": "human", "value": "<image>\n" + row.get("question", "What is it?")},
                        {"from": "gpt", "value": row.get("text", f"thing {place}")},
                    ],
                }
            )
        )
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    if columns:
        parquet.write_table(pyarrow.table(columns), folder / "signals.parquet")
    return Pool(folder)


def chosen(method: Method, pool: Pool, count: int, **parameters: float) -> list[int]:
    settings = {**method.settings[0], **parameters}
    rows: list[int] = run(method, pool, count, 0, settings).tolist()
    return rows


def plain_rows(count: int) -> list[dict[str, Any]]:
    return [{} for _ in range(count)]
