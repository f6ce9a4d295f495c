"""Instruction-following difficulty without a second model pass."""

import json
import math
import re
from collections import Counter

import numpy as np


def answer_words(path):
    with open(path) as stream:
        for line in stream:
            spoken = " ".join(turn["value"] for turn in json.loads(line)["conversations"] if turn["from"] == "gpt")
            found = re.findall(r"\w+", spoken.lower())
            yield found if found else ["-"]


def surprise_alone(bags):
    frequency = Counter()
    for bag in bags:
        frequency.update(bag)
    everything = sum(frequency.values())
    return np.array([-np.mean([math.log(frequency[word] / everything) for word in bag]) for bag in bags])


def score(conditional, bags):
    """Answer surprise with the prompt over surprise without, median 1."""
    unconditional = surprise_alone(bags)
    return conditional / unconditional / np.median(conditional / unconditional)


def admissible(values, floor, cap):
    out = values.copy()
    out[~((values > floor) & (values <= cap))] = -1
    return out
