"""The card ``rejection-sampling-fine-tuning``: several right solutions of a question, by different calculations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cards.models import Model

SAMPLES = 12
"""A hundred in the card; the stand-in has six ways."""
NUMBER = r"\d+(?:\.\d+)?"
EQUATION = re.compile(rf"-?\(*{NUMBER}\)*(?:\s*[-+*/]\s*\(*{NUMBER}\)*)+\s*=\s*-?{NUMBER}")

Record = Mapping[str, str]


def rewrite(records: Sequence[Record], model: Model, count: int, seed: int) -> list[dict[str, str]]:
    """Records of question, solution and answer."""
    kept = []
    for record in records:
        prompt = f"Solve step by step, the last number is the answer.\nQuestion: {record['question']}"
        tries = [model("solve", prompt, seed + sample) for sample in range(SAMPLES)]  # s1
        right = [text for text in tries if last_number(text) == float(record["answer"]) and sound(text)]  # s2
        kept.append([record["solution"], *different(right, record["solution"])])
    return in_turn(records, kept, count)


def equations(solution: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\s", "", found) for found in EQUATION.findall(solution))


def sound(solution: str) -> bool:
    """Whether every equation written in it holds."""
    for equation in equations(solution):
        left, _, right = equation.rpartition("=")
        try:
            if abs(value(left) - float(right)) > 1e-6:
                return False
        except (ValueError, IndexError, ZeroDivisionError):
            return False
    return True


def different(solutions: Sequence[str], original: str) -> list[str]:
    """s3: one per list of equations, the one least like those kept before it; none with the original's list."""
    by_list: dict[tuple[str, ...], list[str]] = {}
    for text in solutions:
        by_list.setdefault(equations(text), []).append(text)
    by_list.pop(equations(original), None)
    kept: list[str] = []
    for same in by_list.values():
        kept.append(max(same, key=lambda text: sum(edits(text, other) for other in [original, *kept])))
    return kept


def in_turn(records: Sequence[Record], kept: Sequence[Sequence[str]], count: int) -> list[dict[str, str]]:
    """s4, s5: the originals first, then one more of each question, and so on."""
    rounds = max(map(len, kept), default=0)
    order = [
        {"question": record["question"], "solution": solutions[turn], "answer": record["answer"]}
        for turn in range(rounds)
        for record, solutions in zip(records, kept, strict=True)
        if turn < len(solutions)
    ]
    return order[:count]


def last_number(text: str) -> float | None:
    found = re.findall(r"-?\d+(?:\.\d+)?", text)
    return float(found[-1]) if found else None


def value(expression: str) -> float:
    """Of numbers, the four signs and brackets."""
    tokens = re.findall(r"\d+(?:\.\d+)?|[-+*/()]", expression)

    def atom() -> float:
        token = tokens.pop(0)
        if token == "(":
            inner = total()
            tokens.pop(0)
            return inner
        return -atom() if token == "-" else float(token)

    def product() -> float:
        found = atom()
        while tokens and tokens[0] in "*/":
            found = found * atom() if tokens.pop(0) == "*" else found / atom()
        return found

    def total() -> float:
        found = product()
        while tokens and tokens[0] in "+-":
            found = found + product() if tokens.pop(0) == "+" else found - product()
        return found

    result = total()
    if tokens:
        raise ValueError(expression)
    return result


def edits(one: str, other: str) -> int:
    """Edit distance in characters."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        before, row[0] = row[0], number
        for place, against in enumerate(other, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != against))
    return row[-1]
