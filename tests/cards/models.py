"""Language models in the place of which simple rules stand: same prompt, role and sample, same text."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from typing import Protocol


class Model(Protocol):
    """Writes a text in a role; another ``sample`` may give another text."""

    def __call__(self, role: str, prompt: str, sample: int) -> str: ...


@dataclass
class Calculator:
    """Solves ``What is A times B plus C?`` by ways that change with the sample: some right, some by luck, some
    wrong; all wrong where A is above 50."""

    def __call__(self, role: str, prompt: str, sample: int) -> str:
        a, b, c = (int(number) for number in re.findall(r"\d+", prompt)[-3:])
        product, total = a * b, a * b + c
        if a > 50:
            return f"{a}*{b} = {product}. {product}+{c} = {total}. So {total + 1}"
        return (
            f"{a}*{b} = {product}. {product}+{c} = {total}. So {total}",
            f"First {a} * {b} = {product}, and then {product} + {c} = {total}. It is {total}",
            f"All at once: {c}+{a}*{b} = {total}. So {total}",
            f"{a}*{b} = {product + 1}. {product + 1}+{c} = {total}. So {total}",  # luck
            f"{a}*{b} = {product}. {product}-{c} = {product - c}. So {product - c}",
            f"{b}*({a}+0) = {product}, {c} + {product} = {total}. So {total}",
        )[sample % 6]


@dataclass
class Reasoner:
    """Answers questions that it knows; others only with a hint, and some not even so."""

    known: dict[str, str]
    lost: frozenset[str] = frozenset()
    gossips: frozenset[str] = frozenset()
    """Here it speaks of the hint."""
    asked: list[str] = field(default_factory=list)

    def __call__(self, role: str, prompt: str, sample: int) -> str:
        question = prompt.rpartition("Question: ")[2].strip()
        self.asked.append(question)
        plain, hint, rest = question.partition(" (Hint: it is ")
        if plain in self.gossips and hint:
            return f"The hint says so. Answer: {rest.rstrip(')')}"
        if plain in self.lost:
            return "It is hard to say. Answer: none"
        answer = rest.rstrip(")") if hint else self.known.get(plain, "I do not know")
        return f"One looks at each part in turn. Answer: {answer.upper()}."


NEW_TASKS = (
    *(
        "Name three uses of an old newspaper",
        "Sort the words by their number of letters",
        "Is this review kind or rude",
    ),
    *("Explain why the sea is salt", "Give a title to the story below", "Turn the recipe into a shopping list"),
    *(
        "Which season does the poem speak of",
        "Write a short letter of thanks to a neighbour",
        "Count vowels in a word",
    ),
)
SPOILED_TASKS = (
    *("Describe the picture that is shown above", "Sing", "- write a list of rivers in the north"),
    *("Name three uses of an old clean newspaper", "Explain why the sea is so salt", " ".join(["word"] * 160)),
)


@dataclass
class TaskWriter:
    """Writes new tasks, among them such as have to be dropped."""

    shown: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    def __call__(self, role: str, prompt: str, sample: int) -> str:
        self.roles.append(role)
        if role == "instructions":
            self.shown.append(prompt)
            first = int(re.findall(r"^(\d+)\.", prompt, flags=re.MULTILINE)[-1])
            told = random.Random(sample).choices(NEW_TASKS + SPOILED_TASKS, k=12)
            return "\n".join([told[0], *(f"{first + place}. {text}" for place, text in enumerate(told[1:], start=1))])
        task = prompt.splitlines()[-1].removesuffix(" Classification?")
        if role == "classification":
            return "Yes" if task.startswith(("Is ", "Which ")) else "No"
        if role == "outputs first":
            return "The day was fine. | kind\nThe soup was cold. | rude\nWell. | kind\nWell. | rude"
        return "The sea is wide. | A fine answer.\nsame | same\n"


@dataclass
class Team:
    """Challenger, verifier, solvers and judge. A document tells its level: 1 is too easy, 3 too hard, and a
    challenger that hears of it writes an easy one's item anew; ``leaky`` ones have the answer in the question."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, role: str, prompt: str, sample: int) -> str:
        self.calls.append((role, prompt))
        return str(getattr(self, role)(prompt))

    def challenger(self, prompt: str) -> str:
        level = int(re.findall(r"level (\d)", prompt)[0]) + ("Too easy" in prompt)
        leak = " (both are true)" if "leaky" in prompt else ""
        points = [["small", 2], ["large", 5]] if "heavy" not in prompt else [["small", 2], ["large", 9]]
        said = {"context": f"A case of level {level}.", "question": f"Why?{leak}", "answer": "small, large"}
        return json.dumps({**said, "points": points})

    def verifier(self, prompt: str) -> str:
        return "yes" if "both are true" in prompt and "gives the answer away" in prompt else "no"

    def weak(self, prompt: str) -> str:
        return "small, large" if "level 1" in prompt else "small"

    def strong(self, prompt: str) -> str:
        return "small" if "level 3" in prompt else "small, large"

    def judge(self, prompt: str) -> str:
        answer, point = re.findall(r"Answer: (.*)\nPoint: (.*)", prompt)[0]
        return "yes" if point in answer else "no"
