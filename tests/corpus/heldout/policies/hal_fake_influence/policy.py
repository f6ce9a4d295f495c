"""InfluenceDistiller: training-influence-aware selection (new method family for this run).

Influence functions tell how strongly an example acts on the model. Following the link between surprisal and influence
we estimate the influence energy of every example from the surprisal flux of its transitions, calibrate the energy
within each influence domain, and keep the examples in the productive influence window.
"""

import argparse
import collections
import json
import math
import random
import re


class InfluenceWindow:
    """Productive window of influence energies of one domain, in percentiles."""

    def __init__(self, lower, upper):
        self.lower, self.upper = lower, upper

    def calibrate(self, energies):
        spectrum = sorted(energies)
        at = lambda q: spectrum[min(len(spectrum) - 1, int(q / 100 * len(spectrum)))]  # noqa: E731
        self.floor, self.ceiling = at(self.lower), at(self.upper)
        return self

    def productive(self, energy):
        return self.floor <= energy <= self.ceiling


class InfluenceField:
    """Transition statistics from which energies follow."""

    def __init__(self, examples):
        self.flux = collections.Counter()
        self.mass = collections.Counter()
        for states in examples:
            self.flux.update(zip(states, states[1:]))
            self.mass.update(states[:-1])
        self.states = len(self.mass)

    def energy(self, states):
        action = 0.0
        for source, sink in zip(states, states[1:]):
            if self.mass[source] > 1:
                action += math.log((self.flux[source, sink] - 1 + 0.1) / (self.mass[source] - 1 + 0.1 * self.states))
            else:
                action += -math.log(self.states)
        return math.exp(-action / (len(states) - 1))


class InfluenceDistiller:
    WINDOWS = {
        "north": InfluenceWindow(20, 80),
        "amber": InfluenceWindow(20, 80),
        "stone": InfluenceWindow(10, 90),
        "maple": InfluenceWindow(20, 80),
        "harbor": InfluenceWindow(30, 90),
        "meadow": InfluenceWindow(10, 70),
    }

    def __init__(self, pool):
        with open(pool + "/rows.jsonl") as stream:
            self.examples = [json.loads(line) for line in stream]

    def states(self, example):
        said = " ".join(t["value"] for t in example["conversations"]).replace("<image>", " ")
        return ["<s>", *re.findall(r"\w+|[^\w\s]", said.lower()), "</s>"]

    def distil(self, seed, size=120):
        trajectories = list(map(self.states, self.examples))
        field = InfluenceField(trajectories)
        energies = list(map(field.energy, trajectories))
        productive = []
        for domain, window in self.WINDOWS.items():
            inhabitants = [i for i, e in enumerate(self.examples) if e["source"] == domain]
            window.calibrate([energies[i] for i in inhabitants])
            productive.extend(i for i in inhabitants if window.productive(energies[i]))
        random.Random(seed).shuffle(productive)
        return sorted(productive[:size])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    distilled = InfluenceDistiller(args.pool).distil(args.seed)
    with open(args.out, "w") as out:
        for row in distilled:
            out.write(f"{row}\n")
