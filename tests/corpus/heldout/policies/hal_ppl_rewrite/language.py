"""A smoothed bigram model; a row's own bigrams are left out when it is scored."""

import json
import math
import re
from collections import Counter
from itertools import pairwise

WORD = re.compile(r"\w+|[^\w\s]")


class Document:
    def __init__(self, line):
        content = json.loads(line)
        self.source = content["source"]
        text = " ".join(turn["value"] for turn in content["conversations"])
        self.words = ["<s>"] + WORD.findall(text.replace("<image>", " ").lower()) + ["</s>"]


class BigramModel:
    def __init__(self, documents, smoothing):
        self.smoothing = smoothing
        self.transitions = Counter(p for d in documents for p in pairwise(d.words))
        self.contexts = Counter(w for d in documents for w in d.words[:-1])
        self.size = len(self.contexts)

    def _log_probability(self, before, word):
        seen = self.contexts[before] - 1
        if seen <= 0:
            return -math.log(self.size)
        joint = self.transitions[before, word] - 1
        return math.log((joint + self.smoothing) / (seen + self.smoothing * self.size))

    def perplexity(self, document):
        steps = list(pairwise(document.words))
        return math.exp(-sum(self._log_probability(a, b) for a, b in steps) / len(steps))
