"""The election: who may vote, for whom, and how votes are counted."""

import numpy as np


class Constituency:
    """A task, known by words of its questions."""

    def __init__(self, name, marks, seats=12):
        self.name, self.marks, self.seats = name, marks, seats

    def delegates(self, rows):
        out = []
        for i, row in enumerate(rows):
            if len(out) == self.seats:
                break
            turns = row["conversations"]
            if len(turns) == 2 and any(mark in turns[0]["value"].lower() for mark in self.marks):
                out.append(i)
        return out

    def poll(self, gradients, rows):
        return (gradients @ gradients[self.delegates(rows)].T).mean(axis=1)


def count(constituencies, gradients, rows, share):
    votes = np.zeros(len(rows), dtype=int)
    strength = []
    for constituency in constituencies:
        support = constituency.poll(gradients, rows)
        votes += support >= np.quantile(support, 1 - share)
        strength.append((support - support.mean()) / support.std())
    return votes, np.mean(strength, axis=0)
