"""Row scorers. Each takes the Bundle and its own options and gives one number a row, higher is better."""

import numpy as np

REGISTRY = {}


def scorer(name):
    def register(function):
        REGISTRY[name] = function
        return function

    return register


def ranks(values):
    """Ranks in [0, 1]; undefined values get the middle."""
    filled = np.where(np.isnan(values), np.nanmedian(values), values)
    return filled.argsort(kind="stable").argsort(kind="stable") / max(1, len(filled) - 1)


@scorer("alignment")
def alignment(bundle, **_):
    return ranks(bundle.similarity)


@scorer("difficulty")
def difficulty(bundle, clip=1.0, **_):
    limit = np.nanquantile(bundle.loss, clip)
    return ranks(np.where(bundle.loss <= limit, bundle.loss, 0.0))


@scorer("novelty")
def novelty(bundle, **_):
    """One minus the cosine to the nearest other row."""
    cosine = bundle.unit @ bundle.unit.T
    np.fill_diagonal(cosine, -1.0)
    return ranks(np.round(1 - cosine.max(axis=1), 6))
