"""The card ``autodata``: an item stays if a strong solver manages it and a weak one does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cards.models import Model

STRONG_MIN, WEAK_MAX, GAP, HEAVIEST = 0.65, 0.5, 0.2, 7
TRIES, ROUNDS = 3, 3
CHECKS = ("gives the answer away", "needs the document at hand", "has a point that cannot be judged by itself")


@dataclass(frozen=True)
class Item:
    """What the challenger wrote."""

    context: str
    question: str
    answer: str
    points: tuple[tuple[str, int], ...]


def rewrite(records: Sequence[Mapping[str, str]], model: Model, count: int, seed: int) -> list[dict[str, Any]]:
    """``records`` have a document each; one item comes of a document at most."""
    accepted: list[dict[str, Any]] = []
    for record in records:
        if len(accepted) == count:
            break
        notes = ""
        for attempt in range(ROUNDS):  # s5
            item = write(record["document"], notes, model, seed + attempt)
            if item is None or not passes(item, record["document"], model):
                notes = "The last one was no good."
                continue
            weak = score("weak", item, model, seed)
            if weak >= WEAK_MAX:  # s3: too easy, the strong one need not try
                notes = f"Too easy: a weak solver had {weak:.2f}."
                continue
            strong = score("strong", item, model, seed)  # s4
            if strong >= STRONG_MIN and strong - weak >= GAP:
                solvers = {"weak": weak, "strong": strong}
                found = {"context": item.context, "question": item.question, "answer": item.answer}
                accepted.append({**found, "document": record["document"], "solvers": solvers})  # s6
                break
            notes = f"A weak solver had {weak:.2f}, a strong one only {strong:.2f}."
    return accepted


def write(document: str, notes: str, model: Model, sample: int) -> Item | None:
    """s1; none: what was written is no item, or its weights are none."""
    try:
        said = json.loads(model("challenger", f"Document: {document}\n{notes}", sample))
        points = tuple((str(point), weight) for point, weight in said["points"])
        item = Item(said["context"], said["question"], said["answer"], points)
    except (ValueError, KeyError, TypeError):
        return None
    whole = all(isinstance(weight, int) and 1 <= weight <= HEAVIEST for _, weight in points)
    return item if points and whole else None


def passes(item: Item, document: str, model: Model) -> bool:
    """s2"""
    shown = f"Document: {document}\nContext: {item.context}\nQuestion: {item.question}\nPoints: {item.points}"
    faults = [model("verifier", f"{shown}\nDoes it hold that it {check}?", 0) for check in CHECKS]
    return all(fault.strip() == "no" for fault in faults)


def score(solver: str, item: Item, model: Model, seed: int) -> float:
    """s3: mean over tries of the weight share of points met."""
    total = sum(weight for _, weight in item.points)
    shares = []
    for attempt in range(TRIES):
        said = model(solver, f"Context: {item.context}\nQuestion: {item.question}", seed + attempt)
        met = [model("judge", f"Answer: {said}\nPoint: {point}", 0).strip() == "yes" for point, _ in item.points]
        shares.append(sum(weight for (_, weight), yes in zip(item.points, met, strict=True) if yes) / total)
    return sum(shares) / TRIES
