"""Which method is tried in which iteration."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .selection import (
    ards,
    coincide,
    combined,
    d2,
    dsir,
    el2n_top,
    icons,
    k_center,
    length_top,
    loss_band,
    loss_top,
    near_duplicates,
    random_rows,
    semdedup,
    similarity_band,
    similarity_top,
    source_balanced,
    template_rewrite,
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
"""In the order they are tried: the control first, then from simple to composed."""

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


@dataclass(frozen=True)
class Step:
    """One submission to be made."""

    number: int
    """From 1; names the policy's folder."""
    method: Method
    parameters: Parameters
    seed: int


def steps(methods: Sequence[Method], iterations: int, seed: int) -> Iterator[Step]:
    """The submissions in order.

    First every method with its preferred parameters (with few iterations only the first choices),
    then the methods left out, then the other parameters. The seed is the task's own in each
    method's first try.
    """
    numbers = itertools.count(1)
    chosen = spread(methods, iterations)
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


def spread(methods: Sequence[Method], iterations: int) -> list[Method]:
    """As many of the methods as there are iterations, in their order."""
    wanted: Collection[str] = sorted((m.name for m in methods), key=FIRST_CHOICE.index)[:iterations]
    return [method for method in methods if method.name in wanted]
