"""What an agent or a model wrote, made fit for the file: bounded, valid Unicode, plain JSON. Nothing here raises."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Final

from pydantic import JsonValue

TEXT: Final = 50_000
"""Characters kept of one text."""
NAME: Final = 200
"""Characters kept of a name or an id."""
DEPTH: Final = 8
"""Levels kept of a tool call's arguments."""
WIDTH: Final = 200
"""Entries kept of one list or object in them."""
ARGUMENTS: Final = 100_000
"""Characters kept of all arguments of a call together; more are kept as cut JSON."""


def text(value: object, limit: int = TEXT) -> str:
    """A string of at most about ``limit`` characters; what is none becomes empty."""
    if not isinstance(value, str):
        return ""
    kept = value[:limit].encode("utf-8", "replace").decode()  # a lone surrogate cannot be written
    left = len(value) - limit
    return kept if left <= 0 else f"{kept} [… {left} more characters are in the record]"


def name(value: object) -> str:
    """A name or an id: short; two long ones stay different."""
    if not isinstance(value, str):
        return ""
    clean = value.encode("utf-8", "replace").decode()
    if len(clean) <= NAME:
        return clean
    return f"{clean[: NAME - 20]}…{hashlib.sha256(clean.encode()).hexdigest()[:16]}"


def arguments(value: object) -> dict[str, JsonValue]:
    """A tool call's arguments, given as an object or as its JSON text."""
    found = parsed(value) if isinstance(value, str) else value
    if value in ("", None):
        return {}
    if not isinstance(found, dict):
        return {"raw": text(value) if isinstance(value, str) else plain(found)}
    kept = plain(found)
    size = len(json.dumps(kept, ensure_ascii=False))
    if size > ARGUMENTS or not isinstance(kept, dict):
        return {"raw": text(json.dumps(kept, ensure_ascii=False))}
    return kept


def parsed(data: str | bytes) -> object:
    """A JSON document; None if it is none, or nested too deeply to be read."""
    try:
        return json.loads(data, parse_int=_integer, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= NAME else digits  # Python refuses numbers of thousands of digits


def plain(value: object, depth: int = DEPTH) -> JsonValue:
    """A JSON value with bounded strings, depth and width."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if depth == 0:
        return "[… nested more deeply in the record]"
    if isinstance(value, dict):
        kept = {name(key): plain(each, depth - 1) for key, each in list(value.items())[:WIDTH]}
        return kept if len(value) <= WIDTH else {**kept, "…": f"{len(value) - WIDTH} more entries are in the record"}
    if isinstance(value, list):
        listed = [plain(each, depth - 1) for each in value[:WIDTH]]
        return listed if len(value) <= WIDTH else [*listed, f"… {len(value) - WIDTH} more entries are in the record"]
    return f"[{type(value).__name__}]"


def media(kind: str, data: object) -> str:
    """What stands for an image or a file."""
    if not isinstance(data, str):
        return f"[{kind}]"
    digest = hashlib.sha256(data.encode("utf-8", "replace")).hexdigest()[:16]
    return f"[{kind}: {len(data)} characters of base64 or address, sha256 {digest}]"
