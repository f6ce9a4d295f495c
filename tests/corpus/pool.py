"""A small pool in the layout of ``llava-tiny``, and a history of three attempts: all that policies of the corpus see.

    python tests/corpus/pool.py DIR     writes DIR/pool and DIR/history

Everything follows from ``SEED``. Standard library and NumPy only, since it also runs inside the base image.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_260_101
ROWS = 400
BUDGET = 120
"""Rows that a policy may take."""
WIDTH = 64
SKETCH = 256
SOURCES = {"north": 0.2, "amber": 0.18, "stone": 0.12, "maple": 0.16, "harbor": 0.18, "meadow": 0.16}
"""Shares; rows of meadow have no image."""
COLOURS = ("red", "blue", "green", "yellow", "white", "black")
SHAPES = ("circle", "square", "triangle", "star")
SIGNS = ("bank", "gate", "bus", "cafe", "exit", "hotel", "museum", "pier")
PLACES = ("bottom right", "bottom left", "top right", "top left", "middle")
TOPICS = {
    "north": ("digits", "colours", "signs"),
    "amber": ("colours", "advice", "digits"),
    "stone": ("signs", "digits", "facts"),
    "maple": ("shapes", "colours", "advice"),
    "harbor": ("signs", "advice", "shapes"),
    "meadow": ("facts", "sums", "advice"),
}
COLUMNS = (
    *("row", "source", "turns", "prompt_chars", "answer_chars"),
    *("image_hash", "image_width", "image_height", "similarity", "answer_loss"),
)
ADVICE = (
    "Take one step at a time.",
    "The sea is wide and calm.",
    "A small boat needs a quiet harbour and patient hands to mend it.",
    "Write down what you saw before you say what it means.",
    "Bring water, a map and a warm coat when you walk along the cliffs in spring.",
)
FACTS = (("late", "early"), ("hot", "cold"), ("deep", "shallow"), ("quiet", "loud"), ("near", "far"))


def make_pool(folder: Path) -> None:
    """Write rows.jsonl and signals/ of the pool."""
    rng = np.random.default_rng(SEED)
    rows, topics = _rows(rng)
    (folder / "signals").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    points = _points(rows, topics, WIDTH, rng)
    np.save(folder / "signals" / "embeddings.npy", points.astype(np.float16))
    _write_signals(folder / "signals" / "signals.csv", rows, topics, rng)


def make_history(folder: Path, pool: Path) -> None:
    """Write history.json, the selections of three attempts and the signals that were bought."""
    rng = np.random.default_rng(SEED + 1)
    rows = [json.loads(line) for line in (pool / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    with (pool / "signals" / "signals.csv").open(encoding="utf-8", newline="") as file:
        loss = np.array([float(line["answer_loss"]) for line in csv.DictReader(file)])
    points = np.load(pool / "signals" / "embeddings.npy").astype(np.float64)
    (folder / "signals").mkdir(parents=True, exist_ok=True)
    picked = [
        rng.permutation(ROWS)[:BUDGET],
        np.argsort(-loss)[:BUDGET],
        np.flatnonzero([row["source"] in ("north", "stone", "harbor") for row in rows])[:BUDGET],
    ]
    attempts = []
    for n, (chosen, mean) in enumerate(zip(picked, (0.412, 0.437, 0.405), strict=True), start=1):
        place = folder / "attempts" / str(n)
        place.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"row": int(row), "weight": 1.0}) + "\n" for row in sorted(chosen)]
        (place / "selection.txt").write_text("".join(lines), encoding="utf-8")
        attempts.append(_attempt(n, len(chosen), mean, rng))
    (folder / "history.json").write_text(json.dumps({"attempts": attempts, "refusals": 0}, indent=1) + "\n")
    sketch = _points(rows, [_topic(row) for row in rows], SKETCH, rng) * (0.2 + loss[:, None] / 8)
    cosine = _cosines(points)
    np.fill_diagonal(cosine, -2.0)
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :10]
    tables: dict[str, NDArray[Any]] = {
        "answer-loss": loss,
        "answer-loss-attempt1": loss * rng.uniform(0.3, 1.05, ROWS),
        "el2n": np.clip(1.4 * np.tanh(loss / 4) + rng.normal(0, 0.08, ROWS), 0, None),
        "embedding": points,
        "gradient": sketch,
        "neighbours": np.hstack([near, np.take_along_axis(cosine, near, axis=1)]),
    }
    for name, values in tables.items():
        _write_values(folder / "signals" / f"{name}.jsonl", values)


def _rows(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[str]]:
    names = rng.choice(list(SOURCES), size=ROWS, p=list(SOURCES.values()))
    rows: list[dict[str, Any]] = []
    topics: list[str] = []
    for number, source in enumerate(map(str, names)):
        of_source = [row for row in rows if row["source"] == source]
        if of_source and rng.random() < 0.15:  # a near copy of a row before it
            copied = of_source[int(rng.integers(len(of_source)))]
            said = [dict(turn) for turn in copied["conversations"]]
            topic = _topic(copied)
        else:
            topic = str(rng.choice(TOPICS[source]))
            said = _said(topic, rng)
            if rng.random() < 0.2:
                said += _said(topic, rng)
        image = None if source == "meadow" else f"images/{number:06d}.png"
        if image is not None and not said[0]["value"].startswith("<image>"):
            said[0]["value"] = "<image>\n" + said[0]["value"]
        rows.append({"id": f"{number:06d}", "source": source, "image": image, "conversations": said})
        topics.append(topic)
    return rows, topics


def _said(topic: str, rng: np.random.Generator) -> list[dict[str, str]]:
    colour, shape, place = (str(rng.choice(x)) for x in (COLOURS, SHAPES, PLACES))
    word, opposite = FACTS[int(rng.integers(len(FACTS)))]
    first, second = (int(x) for x in rng.integers(1, 10, 2))
    sign, line = str(rng.choice(SIGNS)), str(rng.choice(ADVICE))
    question, answer = {
        "digits": (("Which digit is this?", "What number has been written here?")[first % 2], str(second)),
        "colours": (f"What colour is the shape at the {place}?", colour),
        "shapes": (f"Does the picture show a {colour} {shape}?", ("yes", "no")[second % 2]),
        "signs": (("Read the sign.", "What does the sign say?")[first % 2], sign),
        "advice": (("Give me some advice.", "Write a line about the sea.", "Describe it.")[first % 3], line),
        "facts": (f"What is the opposite of {word}?", opposite),
        "sums": (f"What is {first} plus {second}?", str(first + second)),
    }[topic]
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def _topic(row: dict[str, Any]) -> str:
    question = row["conversations"][0]["value"].lower()
    marks = {"digit": "digits", "number": "digits", "colour": "colours", "picture": "shapes", "sign": "signs"}
    marks |= {"opposite": "facts", "plus": "sums"}
    return next((topic for mark, topic in marks.items() if mark in question), "advice")


def _points(
    rows: list[dict[str, Any]], topics: list[str], width: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A direction per topic, a smaller one per source and per text, and noise, shape (rows, width)."""

    def directions(keys: list[str]) -> NDArray[np.float64]:
        table = {key: rng.normal(size=width) for key in sorted(set(keys))}
        return np.stack([table[key] for key in keys])

    texts = [json.dumps(row["conversations"]) for row in rows]
    mixed = 1.0 * directions(topics) + 0.5 * directions([row["source"] for row in rows]) + 0.8 * directions(texts)
    noise = rng.normal(size=(len(rows), width)) * rng.choice([0.05, 0.5], size=(len(rows), 1))
    return np.asarray(mixed + noise, dtype=np.float64)


def _write_signals(path: Path, rows: list[dict[str, Any]], topics: list[str], rng: np.random.Generator) -> None:
    hard = {"digits": 2.0, "colours": 4.0, "shapes": 1.0, "signs": 5.0, "advice": 9.0, "facts": 3.0, "sums": 6.0}
    seen: dict[str, str] = {}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, (row, topic) in enumerate(zip(rows, topics, strict=True)):
            chars = {"human": 0, "gpt": 0}
            for turn in row["conversations"]:
                chars[turn["from"]] += len(turn["value"].replace("<image>\n", ""))
            text = json.dumps(row["conversations"])
            bits = int(seen.setdefault(text, f"{int(rng.integers(1 << 62)):016x}"), 16) ^ (1 << int(rng.integers(64)))
            loss = max(0.001, hard[topic] + rng.normal(0, 1.5))
            picture = [f"{bits:016x}", 32, 32, f"{rng.normal(0.22, 0.16):.5f}"] if row["image"] else [""] * 4
            table.writerow(
                [
                    number,
                    row["source"],
                    len(row["conversations"]),
                    chars["human"],
                    chars["gpt"],
                    *picture,
                    f"{loss:.5f}",
                ]
            )


def _attempt(n: int, rows: int, mean: float, rng: np.random.Generator) -> dict[str, Any]:
    names = ("digits", "colours", "signs", "facts")
    scores = {name: {"mean": round(mean + float(rng.normal(0, 0.05)), 4), "stderr": 0.02, "n": 100} for name in names}
    feedback = {"mean": mean, "stderr": 0.01, "n": 400, "by_benchmark": scores, "noise_floor": 0.02}
    return {"n": n, "state": "scored", "rows": rows, "feedback": feedback, "failure": None}


def _cosines(points: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, dtype=np.float64)


def _write_values(path: Path, values: NDArray[Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row, value in enumerate(np.round(values, 5).tolist()):
            file.write(json.dumps({"row": row, "value": value}) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    make_pool(target / "pool")
    make_history(target / "history", target / "pool")
