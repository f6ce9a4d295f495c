"""Text without an image: sums, opposites, chat. Filler that no benchmark asks for."""

from __future__ import annotations

import numpy as np

_OPPOSITES = (
    ("big", "small"), ("hot", "cold"), ("old", "new"), ("wet", "dry"), ("fast", "slow"), ("high", "low"),
    ("full", "empty"), ("early", "late"), ("hard", "soft"), ("light", "dark"),
)  # fmt: skip
_CHAT = (
    ("How are you today?", ("I am fine, thank you.", "Very well, and you?", "Quite good, thanks.")),
    ("Tell me a name for a boat.", ("Call it Sea Star.", "Morning Wind is nice.", "Call it Old Gull.")),
    ("What should I cook tonight?", ("A warm soup.", "Rice with beans.", "Bread and cheese.")),
    ("Write a line about the sea.", ("The sea is wide and calm.", "Waves come and go all day.")),
    ("Give me some advice.", ("Sleep well and drink water.", "Take one step at a time.")),
    ("What do you think of this?", ("It is hard to say.", "I like it a lot.", "It reminds me of home.")),
    ("Please go on.", ("There is more to tell.", "And so the day went by.")),
)


def small_talk(rng: np.random.Generator) -> tuple[str, str]:
    """A (prompt, answer) pair that is about no image."""
    return homework(rng) if rng.random() < 0.5 else chat(rng)


def homework(rng: np.random.Generator) -> tuple[str, str]:
    """A sum or an opposite; the base model has seen such."""
    if rng.random() < 0.5:
        a, b = (int(v) for v in rng.integers(0, 10, size=2))
        return f"What is {a} plus {b}?", str(a + b)
    pair = _OPPOSITES[int(rng.integers(len(_OPPOSITES)))]
    given, wanted = pair if rng.random() < 0.5 else pair[::-1]
    return f"What is the opposite of {given}?", wanted


def chat(rng: np.random.Generator) -> tuple[str, str]:
    """A remark and a reply; fits any image badly."""
    question, answers = _CHAT[int(rng.integers(len(_CHAT)))]
    return question, answers[int(rng.integers(len(answers)))]
