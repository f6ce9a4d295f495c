"""The pools of ``rows.jsonl``: one record a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROWS = "rows.jsonl"
_LABELS = ("id", "row", "source", "image")
"""Fields of a row that are no content of its own."""


@dataclass(frozen=True)
class Row:
    """The parts of a row that the methods compare."""

    image: str | None
    """Path below the pool folder."""
    text: str
    """Everything said in the row, lower-case words separated by single blanks."""
    question: str
    """The first thing said, in the same form; "" in a row that is no dialogue."""
    answer_chars: int = 0
    """Characters of all answers."""


@dataclass
class Scan:
    """What one pass over the rows keeps: not the rows."""

    rows: int = 0
    sources: list[str] = field(default_factory=list)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    """Numbers and vectors that stand in the rows themselves, e.g. a loss beside the text."""


def scan(path: Path) -> Scan:
    found = Scan()
    for record in records(path):
        if found.rows == 0:
            found.fields = {name: [] for name, value in record.items() if name != "row" and _is_numeric(value)}
        found.rows += 1
        found.sources.append(str(record.get("source") or ""))
        for name, values in found.fields.items():
            values.append(record.get(name))
    return found


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Every row as it stands in the file; none where there is no file."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_numeric(part) for part in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def row_of(record: dict[str, Any]) -> Row:
    said = [(turn.get("from"), str(turn.get("value", ""))) for turn in record.get("conversations") or ()]
    turns = [words(text) for _, text in said]
    question = turns[0] if turns else ""
    if not turns:  # not a dialogue: whatever else the record holds
        content = {key: value for key, value in record.items() if key not in _LABELS}
        turns = [words(json.dumps(content, sort_keys=True))]
    image = record.get("image")
    return Row(
        image=image if isinstance(image, str) else None,
        text=" ".join(turns),
        question=question,
        answer_chars=sum(len(text) for who, text in said if who == "gpt"),
    )


def words(text: str) -> str:
    """Lower-case words and numbers, one blank between them; ``<image>`` marks left out."""
    return " ".join(re.findall(r"[\w.-]*\w", text.replace("<image>", " ").lower()))
