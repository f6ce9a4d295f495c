"""Can a shallow decision tree tell from a row's metadata whether it was selected? Then metadata selected it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.scaffolds.limits import TREE_DEPTH, TREE_LEAST

COLUMNS: Final = ("source", "length", "turns")
FOLDS: Final = 5
BINS: Final = 64
MOST: Final = 200_000
"""Rows looked at; of a larger pool half of them at most selected, half not, drawn by a fixed seed."""

Floats = NDArray[np.float64]


def auc(columns: Mapping[str, np.ndarray], selected: Sequence[int], rows: int) -> float | None:
    """Area under the ROC curve of out-of-fold predictions.

    A tree of depth 3 on source, length and turn count, both classes weighing the same, five folds. The source enters
    as the share of its rows that is selected in the folds learnt from, so that one split can separate any sources.

    Args:
        columns: as ``Task.metadata`` gives them; what is missing is left out.
        selected: ids of the selected rows.
        rows: how many rows the pool has.

    Returns:
        0.5 … 1; none where there are too few rows on either side, or no column.
    """
    names = [name for name in COLUMNS if name in columns]
    chosen = np.zeros(rows, dtype=bool)
    chosen[np.array(selected, dtype=np.int64)] = True
    if not names or min(chosen.sum(), rows - chosen.sum()) < TREE_LEAST:
        return None
    rng = np.random.default_rng(0)
    looked = np.arange(rows)
    if rows > MOST:
        sides = [np.flatnonzero(chosen), np.flatnonzero(~chosen)]
        looked = np.concatenate([rng.permutation(side)[: MOST // 2] for side in sides])
    labels = chosen[looked]
    table = [_codes(columns[name][looked]) for name in names]
    fold = np.empty(len(looked), dtype=np.int64)
    for side in (True, False):
        places = rng.permutation(np.flatnonzero(labels == side))
        fold[places] = np.arange(len(places)) % FOLDS
    scores = np.empty(len(looked))
    for number in range(FOLDS):
        learn, test = fold != number, fold == number
        scores[test] = _predict(table, labels, learn, test)
    return _area(scores, labels)


def _codes(column: np.ndarray) -> Floats | NDArray[np.int64]:
    """Numbers stay numbers; names become integers from 0."""
    if column.dtype.kind in "biuf":
        return np.nan_to_num(column.astype(np.float64), nan=-1.0)
    return np.unique(column.astype(str), return_inverse=True)[1].astype(np.int64)


def _predict(
    table: list[Floats | NDArray[np.int64]],
    labels: NDArray[np.bool_],
    learn: NDArray[np.bool_],
    test: NDArray[np.bool_],
) -> Floats:
    weights = np.where(labels, 0.5 / labels[learn].sum(), 0.5 / (~labels)[learn].sum())
    binned_learn, binned_test = [], []
    for column in table:
        values = column.astype(np.float64)
        if column.dtype.kind == "i":
            values = _shares(column, labels, learn)[column.astype(np.int64)]
        edges = np.unique(np.quantile(values[learn], np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
        binned_learn.append(np.searchsorted(edges, values[learn], side="left"))
        binned_test.append(np.searchsorted(edges, values[test], side="left"))
    return _grow(
        np.array(binned_learn), labels[learn].astype(np.float64), weights[learn], np.array(binned_test), TREE_DEPTH
    )


def _shares(codes: Floats | NDArray[np.int64], labels: NDArray[np.bool_], learn: NDArray[np.bool_]) -> Floats:
    """Share of each name's rows that is selected, drawn towards the mean by one row."""
    codes = codes.astype(np.int64)
    many = int(codes.max()) + 1
    whole = np.bincount(codes[learn], minlength=many)
    taken = np.bincount(codes[learn], weights=labels[learn], minlength=many)
    shares: Floats = (taken + labels[learn].mean()) / (whole + 1)
    return shares


def _grow(learn: NDArray[np.int64], labels: Floats, weights: Floats, test: NDArray[np.int64], depth: int) -> Floats:
    """Predictions for ``test`` of a tree grown on ``learn``; both (columns, rows) of bin numbers."""
    total, positive = weights.sum(), (weights * labels).sum()
    share = positive / total if total else 0.5
    answer = np.full(test.shape[1], share)
    best: tuple[float, int, int] = (1e-12, 0, 0)
    if depth and 0 < share < 1:
        for column in range(len(learn)):
            mass = _sums(learn[column], weights)
            hits = _sums(learn[column], weights * labels)
            left = _impurity(hits, mass)
            right = _impurity(positive - hits, total - mass)
            gain = _impurity(np.array([positive]), np.array([total]))[0] - left - right
            place = int(np.argmax(gain))
            if gain[place] > best[0]:
                best = (float(gain[place]), column, place)
    if best[0] <= 1e-12:
        return answer
    _, column, place = best
    for side in (True, False):
        inside, tested = (learn[column] <= place) == side, (test[column] <= place) == side
        answer[tested] = _grow(learn[:, inside], labels[inside], weights[inside], test[:, tested], depth - 1)
    return answer


def _sums(bins: NDArray[np.int64], weights: Floats) -> Floats:
    """Weight in the first bin, the first two, …; all of them left out."""
    sums: Floats = np.cumsum(np.bincount(bins, weights=weights, minlength=BINS))[:-1].astype(np.float64)
    return sums


def _impurity(hits: Floats, mass: Floats) -> Floats:
    """Gini impurity times mass: 2 p (1 - p) m."""
    share = np.divide(hits, mass, out=np.zeros_like(mass), where=mass > 0)
    impurity: Floats = 2 * share * (1 - share) * mass
    return impurity


def _area(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; ties count half (Mann-Whitney)."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    ranks = middle[place][labels]
    many, others = int(labels.sum()), int((~labels).sum())
    return float((ranks.sum() - many * (many + 1) / 2) / (many * others))
