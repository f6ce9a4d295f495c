"""The card ``self-instruct``: a model goes on with a list of instructions; what is too like the pool is dropped."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping, Sequence

from cards.models import Model

SEEDS_SHOWN, MADE_SHOWN, LAST_NUMBER = 6, 2, 16
TOO_LIKE, SHORTEST, LONGEST = 0.7, 3, 150
EMPTY_ROUNDS = 5
ABOUT_PICTURES = frozenset({"image", "images", "picture", "pictures", "graph", "graphs"})

Task = Mapping[str, str]


def rewrite(records: Sequence[Task], model: Model, count: int, seed: int) -> list[dict[str, str]]:
    """``records`` are the seed tasks: instruction, input, output, and classification (yes or no). s1"""
    rng = random.Random(seed)
    made: list[dict[str, str]] = []
    pool = [record["instruction"] for record in records]
    empty = 0
    while len(made) < count and empty < EMPTY_ROUNDS:
        before = len(made)
        for instruction in new_instructions(records, [task["instruction"] for task in made], model, rng):
            if not fit(instruction, pool):
                continue
            found = instances(instruction, records, model, rng.randrange(2**31))
            if found:
                pool.append(instruction)  # s5
                made += found
        empty = 0 if len(made) > before else empty + 1
    return made[:count]


def new_instructions(seeds: Sequence[Task], made: Sequence[str], model: Model, rng: random.Random) -> list[str]:
    """s2"""
    own = sorted(set(made))
    own = rng.sample(own, min(MADE_SHOWN, len(own)))
    shown = rng.sample([task["instruction"] for task in seeds], SEEDS_SHOWN + MADE_SHOWN - len(own)) + own
    rng.shuffle(shown)
    lines = [f"{number}. {text}" for number, text in enumerate(shown, start=1)]
    prompt = "\n".join(["Come up with more tasks.", *lines, f"{len(shown) + 1}."])
    said = f"{len(shown) + 1}. {model('instructions', prompt, rng.randrange(2**31))}"
    numbered = re.findall(r"^(\d+)\.\s*(\S.*)$", said, flags=re.MULTILINE)
    return [text.strip() for number, text in numbered if len(shown) < int(number) <= LAST_NUMBER]


def instances(instruction: str, seeds: Sequence[Task], model: Model, sample: int) -> list[dict[str, str]]:
    """s3, and the end of s4"""
    shown = [f"{task['instruction']} Classification? {task['classification']}" for task in seeds[:8]]
    kind = model("classification", "\n".join([*shown, f"{instruction} Classification?"]), sample)
    order = "outputs first" if kind.strip().casefold().startswith("yes") else "input first"
    said = model(order, f"Task: {instruction}\nGive {order}, one 'input | output' a line.", sample)
    pairs = [(left.strip(), right.strip()) for left, bar, right in map(_split, said.splitlines()) if bar]
    outputs: dict[str, set[str]] = {}
    for given, output in pairs:
        outputs.setdefault(given, set()).add(output)
    return [
        {"instruction": instruction, "input": given, "output": output}
        for given, output in dict.fromkeys(pairs)
        if len(outputs[given]) == 1 and output and output != given
    ]


def fit(instruction: str, pool: Sequence[str]) -> bool:
    """s4"""
    words = plain(instruction)
    if not SHORTEST <= len(words) <= LONGEST or instruction[0] in string.punctuation:
        return False
    return not ABOUT_PICTURES & set(words) and all(rouge_l(words, plain(other)) < TOO_LIKE for other in pool)


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """F value of the longest common subsequence of words."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, against in enumerate(other, start=1):
            before, row[place] = row[place], before + 1 if word == against else max(row[place], row[place - 1])
    return 2 * row[-1] / max(len(one) + len(other), 1)


def plain(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _split(line: str) -> tuple[str, str, str]:
    return line.partition("|")
