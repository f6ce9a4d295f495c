"""Trains and scores the probe: logistic regression by plain stochastic gradient descent.

Standard library only, Python >= 3.9: it runs under whatever interpreter the task names. Sums are
``math.fsum`` so that every Python version adds up alike.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import probe_faults

VECTOR_LENGTH = 4


def _selection(path: Path) -> Iterator[tuple[int, float]]:
    """Row and weight of a frozen selection: JSONL, or of kind ``uids`` a .npy file with a header of 128 bytes."""
    data = path.read_bytes()
    if data.startswith(b"\x93NUMPY"):
        yield from struct.iter_unpack("<qd", data[128:])
    else:
        yield from ((entry["row"], entry["weight"]) for entry in _read(path))


class ProbeWorker:
    """All three roles. What it read from the assets stays for the next job."""

    def __init__(self) -> None:
        self._pool: dict[str, list[dict[str, Any]]] = {}

    def train(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        return _with_fault("train", self._train, job, progress)

    def evaluate(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        return _with_fault("evaluate", self._evaluate, job, progress)

    def signal(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        return _with_fault("signal", self._signal, job, progress)

    def _rows(self, assets: str) -> list[dict[str, Any]]:
        if assets not in self._pool:
            self._pool[assets] = list(_read(Path(assets) / "pool" / "rows.jsonl"))
        return self._pool[assets]

    def _train(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        pool = self._rows(job["assets"])
        chosen = [(pool[row], weight) for row, weight in _selection(Path(job["selection"]))]
        recipe, rng = job["recipe"], random.Random(job["seed"])
        model = [value + rng.gauss(0.0, recipe["init_noise"]) for value in _base(job["assets"])]
        losses: list[float] = []
        for epoch in range(recipe["epochs"]):
            rng.shuffle(chosen)
            rate = recipe["lr"] * (1 - epoch / recipe["epochs"])
            for row, weight in chosen:
                error = row["y"] - _probability(model, row["x"])
                losses.append(_loss(model, row))
                model = [m + rate * weight * error * x for m, x in zip(model, [*row["x"], 1.0])]  # noqa: B905 - Python 3.9
            progress("training", (epoch + 1) / recipe["epochs"])
        (Path(job["out"]) / "model.json").write_text(json.dumps(model))
        last = losses[-max(1, len(losses) // 10) :]
        return {
            "model": "model.json",
            "steps": len(losses),
            "samples": len(losses),
            "loss": math.fsum(last) / len(last),
            "notes": {"norm": math.sqrt(math.fsum(m * m for m in model))},
        }

    def _evaluate(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        model = _base(job["assets"]) if job["model"] is None else json.loads(Path(job["model"]).read_text())
        items = [item for item in _read(Path(job["assets"]) / "items.jsonl") if item["split"] == job["split"]]
        told = [_probability(model, item["x"]) for item in items]
        with Path(job["out"]).open("w") as out:
            for item, probability in zip(items, told):  # noqa: B905 - Python 3.9
                prediction = int(probability > 0.5)
                scored = {key: item[key] for key in ("benchmark", "item", "group")}
                scored.update(score=float(prediction == item["y"]), prediction=str(prediction))
                out.write(json.dumps(scored) + "\n")
        if job.get("predictions"):
            with Path(job["predictions"]).open("w") as out:
                for item, probability in zip(items, told):  # noqa: B905
                    said = {"benchmark": item["benchmark"], "item": item["item"], "answer": probability}
                    out.write(json.dumps(said) + "\n")
        progress("scoring", 1.0)
        return {"items": len(items)}

    def _signal(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        rows = [self._rows(job["assets"])[row] for row in job["rows"]]
        if job["name"] == "residual":
            model = _base(job["assets"]) if job["model"] is None else json.loads(Path(job["model"]).read_text())
            return {"values": [_loss(model, row) for row in rows], "seconds": 1e-5 * len(rows)}
        if job["name"] == "vector":
            return {"values": [_projection(row["x"]) for row in rows]}
        raise KeyError(job["name"])


def _with_fault(role: str, work: Any, job: dict[str, Any], progress: Any) -> dict[str, Any]:
    """The work, after the recipe's delay and with the fault it asks for."""
    recipe = job["recipe"]
    fault = recipe["fault"] if recipe["fault_role"] == role and _befalls(job) else None
    end = time.monotonic() + recipe["delay_seconds"]
    while time.monotonic() < end:
        progress("waiting as asked", 0.0)
        time.sleep(min(0.05, recipe["delay_seconds"]))
    if fault in probe_faults.BEFORE:
        probe_faults.BEFORE[fault](job, progress)
    result: dict[str, Any] = work(job, progress)
    if fault in probe_faults.AFTER:
        result = probe_faults.AFTER[fault](result, job)
    return result


def _befalls(job: dict[str, Any]) -> bool:
    """Whether the selection has the row that the fault waits for; None: it waits for none."""
    row = job["recipe"]["fault_row"]
    return row is None or any(row == chosen for chosen, _ in _selection(Path(job["selection"])))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def _base(assets: str) -> list[float]:
    model: list[float] = json.loads((Path(assets) / "base.json").read_text())
    return model


def _probability(model: list[float], x: list[float]) -> float:
    z = math.fsum(m * value for m, value in zip(model, [*x, 1.0]))  # noqa: B905
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def _loss(model: list[float], row: dict[str, Any]) -> float:
    p = _probability(model, row["x"])
    return -math.log(p if row["y"] else 1 - p)


def _projection(x: list[float]) -> list[float]:
    """Fixed random signs: a short vector that keeps distances roughly."""
    signs = hashlib.sha256(b"probe").digest()
    return [
        math.fsum(value if (signs[place] >> axis) & 1 else -value for place, value in enumerate(x))
        for axis in range(VECTOR_LENGTH)
    ]
