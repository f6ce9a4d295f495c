"""Which method is tried in which iteration."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .selection import (
    ards,
    basic,
    clip_b32,
    clip_band,
    clip_l14,
    clip_threshold,
    coincide,
    combined,
    d2,
    dsir,
    el2n_top,
    english_only,
    icons,
    image_and_clip,
    image_based,
    intersection,
    k_center,
    laion2b,
    length_top,
    loss_band,
    loss_top,
    near_duplicates,
    neg_clip_loss,
    no_filter,
    random_fraction,
    random_rows,
    semdedup,
    similarity_band,
    similarity_top,
    source_balanced,
    template_rewrite,
    text_based,
    tmars,
    typiclust,
)
from .selection.method import Method, Parameters

METHODS: tuple[Method, ...] = (
    random_rows.METHOD,
    source_balanced.METHOD,
    length_top.METHOD,
    similarity_top.METHOD,
    similarity_band.METHOD,
    loss_top.METHOD,
    el2n_top.METHOD,
    loss_band.METHOD,
    near_duplicates.METHOD,
    semdedup.METHOD,
    k_center.METHOD,
    d2.METHOD,
    typiclust.METHOD,
    coincide.METHOD,
    dsir.METHOD,
    icons.METHOD,
    ards.METHOD,
    template_rewrite.METHOD,
    combined.METHOD,
)
"""Of any pool, in the order they are tried: the control first, then from simple to composed."""

FILTERS: tuple[Method, ...] = (
    no_filter.METHOD,
    english_only.METHOD,
    basic.METHOD,
    clip_b32.METHOD,
    clip_l14.METHOD,
    clip_band.METHOD,
    clip_threshold.METHOD,
    laion2b.METHOD,
    text_based.METHOD,
    image_based.METHOD,
    tmars.METHOD,
    neg_clip_loss.METHOD,
    random_fraction.METHOD,
    intersection.METHOD,
    image_and_clip.METHOD,
)
"""Of image-text pairs in DataComp's layout only."""

EVERY = METHODS + FILTERS

FIRST_CHOICE = (
    "combined",
    "random",
    "loss-top",
    "near-duplicates",
    "similarity-top",
    "loss-band",
    "source-balanced",
    "k-center",
    "d2",
    "el2n-top",
    "semdedup",
    "coincide",
    "length-top",
    "similarity-band",
    "typiclust",
    "icons",
    "ards",
    "dsir",
    "template-rewrite",
)
"""Who gets an iteration when there are too few for all; the order of trying is that of METHODS."""

FIRST_OF_PAIRS = (
    "no-filter",
    "random",
    "clip-l14",
    "intersection",
    "basic",
    "clip-b32",
    "english",
    "clip-band",
    "neg-clip-loss",
    "laion2b",
    "text-based",
    "image-based",
    "image-and-clip",
    "tmars",
    "semdedup",
    "near-duplicates",
    "random-fraction",
    "clip-threshold",
    "similarity-band",
    "similarity-top",
    "k-center",
    "typiclust",
    "coincide",
    "source-balanced",
    "dsir",
    "d2",
    "combined",
    "loss-top",
    "loss-band",
    "el2n-top",
    "length-top",
    "icons",
    "ards",
    "template-rewrite",
)
"""The same on image-text pairs; the order of trying is `random`, FILTERS, the other METHODS."""

SHARE = 0.3
"""Of a pool of pairs that a method takes which has no share of its own: that of DataComp's best published filters."""
LARGE = 1_000_000
"""Rows from which on only methods are tried that say of themselves that they can be."""


def methods_for(pairs: bool) -> tuple[Method, ...]:
    """The methods of a kind of pool, in the order they are tried."""
    if not pairs:
        return METHODS
    return (random_rows.METHOD, *FILTERS, *(method for method in METHODS if method is not random_rows.METHOD))


def budget(method: Method, pairs: bool, size: int, most: int) -> int:
    """How many rows a method is asked for, out of ``size``, where ``most`` may be handed in."""
    return most if method.filters or not pairs else max(1, min(most, int(SHARE * size)))


@dataclass(frozen=True)
class Step:
    """One submission to be made."""

    number: int
    """From 1; names the policy's folder."""
    method: Method
    parameters: Parameters
    seed: int


def steps(
    methods: Sequence[Method], iterations: int, seed: int, order: Sequence[str] = FIRST_CHOICE
) -> Iterator[Step]:
    """The submissions in order.

    First every method with its preferred parameters (with few iterations only the first choices),
    then the methods left out, then the other parameters. The seed is the task's own in each
    method's first try.
    """
    numbers = itertools.count(1)
    chosen = spread(methods, iterations, order)
    left_out = [method for method in methods if method not in chosen]
    for method in [*chosen, *left_out]:
        yield Step(next(numbers), method, method.settings[0], seed)
    for turn in range(1, max((len(method.settings) for method in methods), default=0)):
        for method in methods:
            if turn < len(method.settings):
                yield Step(next(numbers), method, method.settings[turn], seed + turn)


def repeats(method: Method, seed: int) -> Iterator[Step]:
    """One method over and over, each time with another seed."""
    for number in itertools.count(1):
        yield Step(number, method, method.settings[0], seed + number - 1)


def spread(methods: Sequence[Method], iterations: int, order: Sequence[str] = FIRST_CHOICE) -> list[Method]:
    """As many of the methods as there are iterations, in their order; who comes first in ``order`` is in."""
    wanted: Collection[str] = sorted((m.name for m in methods), key=order.index)[:iterations]
    return [method for method in methods if method.name in wanted]
