"""The best pairs by CLIP score, corrected for how well picture and caption fit anything else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clip_score import best
from .clusters import on_grid
from .method import Method, Parameters, Rows, kept
from .pool import Pool

DIGITS = 5
"""Of a score: what differs behind them is the order in which exponentials were added up."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """The best ``fraction`` of the pool."""
    return kept(pool, best(corrected(pool, rng, parameters), parameters["fraction"]), count, rng)


def corrected(pool: Pool, rng: np.random.Generator, parameters: Parameters) -> NDArray[np.float64]:
    """Mean over ``repeats`` divisions of the pool into random batches of at most ``batch`` rows, shape (rows,).

    Of cos(i, i) minus half of ``temperature`` times the logarithms of two sums of exp(cos / temperature): over the
    captions for picture i, and over the pictures for caption i.
    """
    images, texts = pool.features("image_features"), pool.features("text_features")
    size, repeats, temperature = int(parameters["batch"]), int(parameters["repeats"]), parameters["temperature"]
    total = np.zeros(pool.size)
    for _ in range(repeats):
        # of one size: a pair has fewer to be compared with in a smaller batch, and scores better for it
        for part in np.array_split(rng.permutation(pool.size), max(1, -(-pool.size // size))):
            rows = np.sort(part)
            total[rows] += of_batch(_unit(images[rows]), _unit(texts[rows]), temperature)
    return np.round(total / repeats, DIGITS)


def of_batch(images: NDArray[np.float32], texts: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """The corrected score of each pair within one batch (equation 2 of the paper, times the temperature)."""
    own = np.einsum("ij,ij->i", images, texts, dtype=np.float64)
    columns = np.zeros(len(texts))
    rows = np.zeros(len(images))
    for start in range(0, len(images), _AT_ONCE):
        powers = np.exp((images[start : start + _AT_ONCE] @ texts.T).astype(np.float64) / temperature)
        rows[start : start + _AT_ONCE] = powers.sum(axis=1)
        columns += powers.sum(axis=0)
    scores: NDArray[np.float64] = own - temperature / 2 * (np.log(rows) + np.log(columns))
    return scores


_AT_ONCE = 1024
"""Rows of a batch whose similarities are held at a time."""


def _unit(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """On the grid, on which products add up exactly."""
    wide = np.nan_to_num(points.astype(np.float64))
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return on_grid(wide / np.where(length > 0, length, 1))


METHOD = Method(
    name="neg-clip-loss",
    summary="the best share of the pairs by CLIP score, less what picture and caption score with others",
    citation="Wang et al. 2024, CLIPLoss and Norm-Based Data Selection Methods for Multimodal Contrastive Learning,"
    " arXiv:2405.19547",
    where="section 3.1: negCLIPLoss over random batches",
    differs="three divisions into batches; DataComp's features, on a grid of 1/2048; without NormSim",
    needs=("pairs", "image_features", "text_features"),
    settings=({"fraction": 0.3, "batch": 32768.0, "temperature": 0.01, "repeats": 3.0},),
    select=select,
    filters=True,
)
