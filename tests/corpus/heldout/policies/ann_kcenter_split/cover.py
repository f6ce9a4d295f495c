"""Farthest-first traversal."""

import numpy as np


def farthest_first(space, size, origin):
    """Yield ``size`` members, each the one worst served by those before it."""
    gap = None
    current = origin
    for step in range(size):
        yield current
        fresh = space.distance_to(current)
        gap = fresh if gap is None else np.minimum(gap, fresh)
        if step > 0:
            gap[current] = -1.0
        current = int(gap.argmax())
