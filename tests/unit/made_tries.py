"""Tries of a run made from policy texts, for the tests of the diagnostics."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from curation_harness.diagnostics.handed_in import Spent
from curation_harness.diagnostics.tries import Outcome, RunView, Try, claims, read_code, read_documents

HEAD = """
import argparse
import csv
import json
from pathlib import Path

import numpy as np

def column(pool, name):
    with open(Path(pool) / "signals" / "signals.csv", newline="") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])

def vectors(pool):
    found = np.load(Path(pool) / "signals" / "embeddings.npy").astype(np.float64)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
"""

TAIL = """
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", required=True)
    parser.add_argument("--history")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    chosen = select(args.pool, args.history, np.random.default_rng(args.seed))
    Path(args.out).write_text("".join(f"{int(row)}\\n" for row in sorted(chosen)))

main()
"""

BAND = """
LOW, HIGH = 0.1, 0.6

def select(pool, history, rng):
    loss = column(pool, "answer_loss")
    bottom, top = np.quantile(loss, [LOW, HIGH])
    inside = np.flatnonzero((loss >= bottom) & (loss <= top))
    return rng.choice(inside, 100, replace=False)
"""

SPREAD = """
def select(pool, history, rng):
    points = vectors(pool)
    taken = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(taken) < 100:
        gap = points - points[taken[-1]]
        distance = np.minimum(distance, (gap * gap).sum(axis=1))
        taken.append(int(np.argmax(distance)))
    return taken
"""

SPREAD_IN_BAND = """
LOW, HIGH = 0.1, 0.6

def select(pool, history, rng):
    loss = column(pool, "answer_loss")
    bottom, top = np.quantile(loss, [LOW, HIGH])
    inside = np.flatnonzero((loss >= bottom) & (loss <= top))
    points = vectors(pool)[inside]
    taken = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(taken) < 100:
        gap = points - points[taken[-1]]
        distance = np.minimum(distance, (gap * gap).sum(axis=1))
        taken.append(int(np.argmax(distance)))
    return inside[taken]
"""

RANDOM = """
def select(pool, history, rng):
    return rng.choice(8000, 100, replace=False)
"""

QUOTA = """
SHARES = {"north": 2.0, "amber": 1.0}

def select(pool, history, rng):
    with open(Path(pool) / "rows.jsonl") as lines:
        sources = np.array([json.loads(line)["source"] for line in lines])
    names = sorted(set(sources))
    whole = sum(SHARES.get(name, 1.0) for name in names)
    chosen = []
    for name in names:
        members = np.flatnonzero(sources == name)
        chosen += list(rng.choice(members, int(100 * SHARES.get(name, 1.0) / whole), replace=False))
    return chosen
"""


def whole(body: str) -> str:
    return HEAD + body + TAIL


class TryMaker:
    """Numbers attempts and refusals as a run does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tries: list[Try] = []
        self._numbers = itertools.count(1)
        self._refusals = itertools.count(1)

    def add(
        self,
        body: str,
        *,
        outcome: Outcome = "scored",
        mean: float | None = 0.5,
        rows: Iterable[int] | None = None,
        note: str = "",
        files: Mapping[str, str] | None = None,
        cited: tuple[str, ...] = (),
        read: tuple[str, ...] = (),
        functions: frozenset[tuple[str, str]] | None = None,
        benchmarks: Mapping[str, float] | None = None,
        problems: tuple[str, ...] = (),
        is_whole: bool = False,
    ) -> Try:
        place = len(self.tries)
        folder = self.folder / f"try-{place}"
        folder.mkdir(parents=True)
        texts = {"policy.py": body if is_whole else whole(body), **(files or {})}
        paths = {}
        for name, text in texts.items():
            paths[name] = folder / name
            paths[name].write_text(text, encoding="utf-8")
        code, unreadable = read_code(paths)
        made = Try(
            place=place,
            n=None if outcome == "refused" else next(self._numbers),
            refusal=next(self._refusals) if outcome == "refused" else None,
            outcome=outcome,
            code=code,
            unreadable=unreadable,
            documents=read_documents(paths),
            note=note,
            claims=claims(paths),
            rows=array("q", rows if rows is not None else range(100 * place, 100 * place + 100)),
            mean=mean if outcome == "scored" else None,
            stderr=0.01 if outcome == "scored" else None,
            by_benchmark=dict(benchmarks or {}) if outcome == "scored" else {},
            problems=problems,
            cited=cited,
            cards_read=read,
            functions=functions,
            spent=Spent(agent_seconds=10.0, host_seconds=4.0, dollars=0.1, tokens=100),
        )
        self.tries.append(made)
        return made

    def view(self, *, floor: float | None = 0.02, sources: Sequence[str] = (), run_id: str = "run-1") -> RunView:
        accepted = [one.outcome == "scored" for one in self.tries if one.n is not None]
        scored = itertools.accumulate(accepted)
        return RunView(
            run_id=run_id,
            task="made-tiny",
            agent="made",
            model=None,
            scaffold="open",
            status="scored",
            tries=tuple(self.tries),
            sources=np.array(sources, str),
            pool_rows=len(sources) or None,
            noise_floor=floor,
            expected_maximum=tuple(0.5 + 0.01 * (max(1, k) - 1) for k in scored),
            random_draws=8,
        )
