"""The pairs of `datacomp-tiny`'s pool, with planted truth that stays on the host.

About a third of them are good: the caption is true, English, and not one of many copies. Everything that is not
content (uids, addresses, order, file names, sizes of most, times) is assigned without regard to that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from curation_plugins.tasks.datacomp.tiny.captions import BOILERPLATE, STYLES, caption, languages, reworded
from curation_plugins.tasks.datacomp.tiny.concepts import Concept, digit_shares, pick, random_concept
from curation_plugins.tasks.datacomp.tiny.drawing import CANVAS, Look, Pixels, jpeg, render, speckle

KINDS = ("good", "foreign", "misaligned", "duplicate", "junk")
"""Only the first is good."""

DOMAINS: dict[str, tuple[float, tuple[float, ...]]] = {
    "img.northgate.example": (0.12, (0.38, 0.14, 0.22, 0.14, 0.12)),
    "cdn.riverbend.example": (0.11, (0.31, 0.15, 0.27, 0.16, 0.11)),
    "static.maplehill.example": (0.10, (0.37, 0.12, 0.23, 0.15, 0.13)),
    "media.harbour.example": (0.13, (0.33, 0.15, 0.25, 0.17, 0.10)),
    "pics.stonewell.example": (0.10, (0.40, 0.12, 0.21, 0.14, 0.13)),
    "files.meadow.example": (0.11, (0.34, 0.14, 0.24, 0.15, 0.13)),
    "assets.delta.example": (0.12, (0.32, 0.13, 0.28, 0.15, 0.12)),
    "photos.amber.example": (0.11, (0.36, 0.14, 0.23, 0.16, 0.11)),
    "shop.lantern.example": (0.10, (0.35, 0.13, 0.25, 0.15, 0.12)),
}
"""Domain of the address to (share of the pool, share of each of KINDS in it). Names mean nothing."""

LOOK = Look()
"""How everything in the pool is drawn."""

FOREIGN_AMONG_WRONG = 0.15
"""Of misaligned pairs, so that language and alignment are two things."""

COPIES = 10
"""Copies of one pair, on average; half of them byte for byte."""


@dataclass(frozen=True)
class Pair:
    """One image with its text, before it gets its place."""

    kind: str
    domain: str
    image: bytes
    """JPEG."""
    text: str
    style: str
    """One of STYLES, or ``boilerplate``."""
    language: str
    """Code; empty: boilerplate."""
    uid: str = ""
    url: str = ""
    size: tuple[int, int] = (0, 0)
    """Width and height that the metadata tells of the original."""


@dataclass(frozen=True)
class _Draft:
    """A pair before noise and encoding, from which near-copies can be made."""

    picture: Pixels
    text: str
    style: str
    language: str


def make_pairs(rows: int, seed: int) -> list[Pair]:
    """The pool in its final order; a function of its arguments: same arguments, same bytes."""
    rng = np.random.default_rng([seed, 91])
    scans = digit_shares(seed)["pool"]
    pairs = [pair for domain, counts in _counts(rows).items() for pair in _of_domain(domain, counts, scans, rng)]
    order = rng.permutation(len(pairs)).tolist()
    return [_placed(pairs[index], place, seed, rng) for place, index in enumerate(order)]


def _counts(rows: int) -> dict[str, dict[str, int]]:
    """How many rows of each kind each domain gets; `rows` in all (largest remainders are rounded up)."""
    exact = {
        (domain, kind): rows * share * part
        for domain, (share, mix) in DOMAINS.items()
        for kind, part in zip(KINDS, mix, strict=True)
    }
    counts = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[: rows - sum(counts.values())]:
        counts[key] += 1
    return {domain: {kind: counts[domain, kind] for kind in KINDS} for domain in DOMAINS}


def _of_domain(
    domain: str, counts: dict[str, int], scans: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[Pair]:
    drafts = {kind: [_draft(kind, scans, rng) for _ in range(counts[kind])] for kind in KINDS if kind != "duplicate"}
    for kind, of_kind in drafts.items():
        for draft in of_kind:
            yield _finished(kind, domain, draft, rng)
    # two of three that are copied were good to begin with: a copy of a wrong pair repeats the mistake
    clusters = max(1, round(counts["duplicate"] / COPIES))
    for number in range(clusters):
        of_kind = drafts["misaligned" if number % 3 == 2 else "good"] or drafts["good"]
        if not of_kind:
            return
        original = of_kind[int(rng.integers(len(of_kind)))]
        copy = _finished("duplicate", domain, original, rng)
        for k in range(number, counts["duplicate"], clusters):
            exact = k == number or rng.random() < 0.5
            changed = replace(original, text=reworded(original.text, rng))
            yield copy if exact else _finished("duplicate", domain, changed, rng)


def _draft(kind: str, scans: NDArray[np.int64], rng: np.random.Generator) -> _Draft:
    concept = random_concept(rng, scans)
    style = pick(rng, STYLES)
    language = "en"
    if kind == "foreign" or (kind == "misaligned" and rng.random() < FOREIGN_AMONG_WRONG):
        language = pick(rng, tuple(languages())[1:])
    if kind == "junk":
        return _junk(concept, style, rng)
    told = _other(concept, scans, rng) if kind == "misaligned" else concept
    return _Draft(render(concept, LOOK, rng), caption(told, language, style, rng), style, language)


def _junk(concept: Concept, style: str, rng: np.random.Generator) -> _Draft:
    """Nothing to see, nothing said, or both."""
    which = int(rng.integers(3))
    picture = render(concept, LOOK, rng) if which == 0 else _nothing(rng)
    if which == 1:
        return _Draft(picture, caption(concept, "en", style, rng), style, "en")
    return _Draft(picture, pick(rng, BOILERPLATE), "boilerplate", "")


def _nothing(rng: np.random.Generator) -> Pixels:
    """A blank image, or noise."""
    shape = (CANVAS, CANVAS, 3)
    if rng.random() < 0.5:
        return np.broadcast_to(rng.integers(0, 256, size=3), shape).astype(np.uint8)
    return rng.integers(0, 256, size=shape).astype(np.uint8)


def _other(shown: Concept, scans: NDArray[np.int64], rng: np.random.Generator) -> Concept:
    """What another image shows; not what this one does."""
    while True:
        other = random_concept(rng, scans)
        if (other.family, other.value) != (shown.family, shown.value):
            return other


def _finished(kind: str, domain: str, draft: _Draft, rng: np.random.Generator) -> Pair:
    return Pair(kind, domain, jpeg(speckle(draft.picture, LOOK, rng)), draft.text, draft.style, draft.language)


def _placed(pair: Pair, place: int, seed: int, rng: np.random.Generator) -> Pair:
    """With address, uid, and the size that its original is said to have had."""
    url = f"https://{pair.domain}/{rng.integers(2010, 2024)}/{rng.bytes(6).hex()}.jpg"
    uid = hashlib.blake2b(f"{seed}\n{place}\n{url}\n{pair.text}".encode(), digest_size=16).hexdigest()
    long = int(rng.integers(240, 1600))
    short = int(long / rng.uniform(1.0, 2.2))
    if rng.random() < (0.4 if pair.kind == "junk" else 0.08):  # banners and icons
        long, short = int(rng.integers(300, 900)), int(rng.integers(40, 190))
    size = (long, short) if rng.random() < 0.6 else (short, long)
    return replace(pair, uid=uid, url=url, size=size)
