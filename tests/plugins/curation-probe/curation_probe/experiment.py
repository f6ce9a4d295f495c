"""The probe's pool, benchmark items and base model, made from a seed in milliseconds.

Labels follow a hidden direction in twelve dimensions. Bad rows are labelled by another direction, or by a
coin; each source mixes both kinds, in shares that differ little, so that a source's name helps little.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FEATURES = 12
BENCHMARKS = ("plain", "near-boundary", "shifted", "sparse")
SOURCES = {"heron": 0.45, "ibis": 0.5, "plover": 0.55, "stilt": 0.6}
"""Neutral names, with the share of good rows."""
VERSION = 1
"""Raised when other rows would be made from the same settings."""

README = """# The pool

`rows.jsonl` holds one row a line: `{"row": 17, "source": "heron", "x": [twelve numbers], "y": 0 or 1}`.
Ids go from 0 without a gap. Some labels are wrong.
"""


@dataclass(frozen=True)
class World:
    truth: tuple[float, ...]
    """The direction that right labels follow."""
    lie: tuple[float, ...]
    """The direction that systematically wrong labels follow."""


def write(folder: Path, *, rows: int, items: int, seed: int) -> None:
    """Write ``pool/``, ``items.jsonl``, ``base.json`` and ``truth.json`` into ``folder``."""
    rng = random.Random(f"probe-{VERSION}-{seed}")
    truth = _direction(rng)
    world = World(truth=truth, lie=_direction(rng))
    pool = [_row(row, world, rng) for row in range(rows)]
    (folder / "pool").mkdir()
    (folder / "pool" / "README.md").write_text(README)
    _write_lines(folder / "pool" / "rows.jsonl", (row for row, _ in pool))
    (folder / "truth.json").write_text(json.dumps([good for _, good in pool]))
    _write_lines(folder / "items.jsonl", _items(world, items, rng))
    # a little of the truth and noise: better than chance, with much left to learn
    base = [0.5 * t + 0.5 * n for t, n in zip(truth, _direction(rng), strict=True)]
    (folder / "base.json").write_text(json.dumps([*(round(value, 6) for value in base), 0.0]))


def _row(row: int, world: World, rng: random.Random) -> tuple[dict[str, object], bool]:
    source, good_share = rng.choice(sorted(SOURCES.items()))
    x = _point(rng)
    kind = rng.random()
    if kind < good_share:
        y = _side(world.truth, x)
    elif kind < good_share + 0.7 * (1 - good_share):
        y = _side(world.lie, x)
    else:
        y = rng.randrange(2)
    return {"row": row, "source": source, "x": x, "y": y}, y == _side(world.truth, x)


def _items(world: World, count: int, rng: random.Random) -> Iterable[dict[str, object]]:
    """``count`` items of each benchmark; two of a group differ by a touch; groups alternate between splits."""
    for benchmark in BENCHMARKS:
        for number in range(count):
            if number % 2 == 0:
                x = _benchmark_point(benchmark, world, rng)
            else:
                x = [round(value + rng.gauss(0, 0.02), 3) for value in x]
            yield {
                "benchmark": benchmark,
                "item": f"{benchmark}-{number}",
                "group": f"{benchmark}-{number // 2}",
                "split": ("public", "sealed")[number // 2 % 2],
                "x": x,
                "y": _side(world.truth, x),
            }


def _benchmark_point(benchmark: str, world: World, rng: random.Random) -> list[float]:
    x = _point(rng)
    if benchmark == "near-boundary":
        along = math.fsum(t * value for t, value in zip(world.truth, x, strict=True))
        return [round(value - 0.6 * along * t, 3) for t, value in zip(world.truth, x, strict=True)]
    if benchmark == "shifted":
        return [round(value + (0.8 if place % 2 else -0.4), 3) for place, value in enumerate(x)]
    if benchmark == "sparse":
        kept = set(rng.sample(range(FEATURES), 4))
        return [value if place in kept else 0.0 for place, value in enumerate(x)]
    return x


def _point(rng: random.Random) -> list[float]:
    return [round(rng.gauss(0, 1), 3) for _ in range(FEATURES)]


def _direction(rng: random.Random) -> tuple[float, ...]:
    raw = [rng.gauss(0, 1) for _ in range(FEATURES)]
    length = math.sqrt(math.fsum(value * value for value in raw))
    return tuple(value / length for value in raw)


def _side(direction: tuple[float, ...], x: list[float]) -> int:
    return int(math.fsum(d * value for d, value in zip(direction, x, strict=True)) > 0)


def _write_lines(path: Path, entries: Iterable[Mapping[str, object]]) -> None:
    with path.open("w") as out:
        for entry in entries:
            out.write(json.dumps(entry) + "\n")
