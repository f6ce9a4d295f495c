"""The pool of `llava-tiny`, with planted truth that stays on the host.

A third of the rows is good; the rest are wrong answers, exchanged images, near-copies, remarks that have nothing
to do with the image, and text without an image. Everything that is not content (ids, order, file names, times,
encodings) is assigned after shuffling and says nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.making import EPOCH
from curation_plugins.tasks.llava.rows import IMAGE_MARK, dump_row
from curation_plugins.tasks.llava.tiny.questions import BENCHMARKS, Query, ask, pick
from curation_plugins.tasks.llava.tiny.scenes import (
    Pixels,
    Scene,
    digit_shares,
    random_digit,
    random_sign,
    random_things,
    render,
    speckle,
)
from curation_plugins.tasks.llava.tiny.smalltalk import chat, small_talk

KINDS = ("clean", "wrong", "mismatched", "duplicate", "offtopic", "text")
"""Only the first is good."""

SOURCES: dict[str, tuple[float, tuple[float, ...]]] = {
    "north": (0.13, (0.38, 0.15, 0.13, 0.14, 0.12, 0.08)),
    "river": (0.11, (0.26, 0.20, 0.18, 0.16, 0.10, 0.10)),
    "maple": (0.12, (0.34, 0.13, 0.19, 0.14, 0.10, 0.10)),
    "harbor": (0.14, (0.29, 0.21, 0.11, 0.18, 0.13, 0.08)),
    "stone": (0.10, (0.37, 0.17, 0.11, 0.13, 0.09, 0.13)),
    "meadow": (0.13, (0.31, 0.16, 0.15, 0.16, 0.12, 0.10)),
    "delta": (0.14, (0.26, 0.18, 0.14, 0.18, 0.13, 0.11)),
    "amber": (0.13, (0.33, 0.16, 0.12, 0.17, 0.12, 0.10)),
}
"""Name to (share of the pool, share of each of KINDS in it). Names mean nothing."""

COPIES = 14
"""Near-copies of one row, on average."""


@dataclass(frozen=True)
class Draft:
    """A row before it gets its place."""

    kind: str
    source: str
    picture: Pixels | None
    """Before noise."""
    question: str
    answer: str
    benchmark: str = ""


def make_pool(folder: Path, truth: Path, rows: int, seed: int) -> None:
    """Writes `folder/rows.jsonl` and `folder/images/`, and beside them, for the host only, `truth`.

    Every line of `truth` has `row`, `kind`, `clean` and `benchmark` (empty for rows that fit none).
    A function of `rows` and `seed`: same arguments, same bytes.
    """
    rng = np.random.default_rng([seed, 21])
    drafts = [draft for source, counts in _counts(rows).items() for draft in _of_source(source, counts, seed, rng)]
    order = rng.permutation(len(drafts))
    images = folder / "images"
    images.mkdir(parents=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as lines, truth.open("w") as facts:
        for place, index in enumerate(order.tolist()):
            draft = drafts[index]
            name = None
            if draft.picture is not None:
                name = f"images/{place:06d}.png"
                save_png(speckle(draft.picture, rng), folder / name)
            human = f"{IMAGE_MARK}\n{draft.question}" if name else draft.question
            turns = [("human", human), ("gpt", draft.answer)]
            lines.write(dump_row(f"{place:06d}", draft.source, name, turns))
            fact = {
                "row": place,
                "kind": draft.kind,
                "clean": draft.kind == "clean",
                "benchmark": draft.benchmark,
            }
            facts.write(json.dumps(fact) + "\n")


def save_png(pixels: Pixels, path: Path) -> None:
    """Writes an image with the one encoding that all images of pool and benchmarks share."""
    Image.fromarray(pixels).save(path, format="PNG", compress_level=6)
    os.utime(path, (EPOCH, EPOCH))


def scene_for(benchmark: str, rng: np.random.Generator, digits: NDArray[np.int64]) -> Scene:
    """A random scene that a benchmark's questions apply to."""
    if benchmark == "digits":
        return random_digit(rng, digits)
    return random_sign(rng) if benchmark == "signs" else random_things(rng)


def _counts(rows: int) -> dict[str, dict[str, int]]:
    """How many rows of each kind each source gets; `rows` in all (largest remainders are rounded up)."""
    exact = {
        (source, kind): rows * share * part
        for source, (share, mix) in SOURCES.items()
        for kind, part in zip(KINDS, mix, strict=True)
    }
    counts = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[: rows - sum(counts.values())]:
        counts[key] += 1
    return {source: {kind: counts[source, kind] for kind in KINDS} for source in SOURCES}


def _of_source(source: str, counts: dict[str, int], seed: int, rng: np.random.Generator) -> Iterator[Draft]:
    digits = digit_shares(seed)["pool"]
    singles = [
        _draft(kind, source, rng, digits) for kind in KINDS if kind != "duplicate" for _ in range(counts[kind])
    ]
    yield from singles
    # Half of what is copied was good to begin with: a copy of a wrong row repeats the mistake.
    good = [draft for draft in singles if draft.kind == "clean"]
    bad = [draft for draft in singles if draft.kind in ("wrong", "mismatched")]
    clusters = max(2, round(counts["duplicate"] / COPIES))
    originals = [pick(rng, (good, bad)[number % 2]) for number in range(clusters)]
    for number in range(counts["duplicate"]):
        original = originals[number % clusters]
        yield Draft("duplicate", source, original.picture, original.question, original.answer, original.benchmark)


def _draft(kind: str, source: str, rng: np.random.Generator, digits: NDArray[np.int64]) -> Draft:
    if kind == "text":
        return Draft(kind, source, None, *small_talk(rng))
    benchmark = pick(rng, BENCHMARKS)
    scene = scene_for(benchmark, rng, digits)
    picture = render(scene, rng)
    if kind == "offtopic":
        return Draft(kind, source, picture, *chat(rng))
    if kind == "mismatched":
        query, answer = _about_another(benchmark, scene, rng, digits)
        return Draft(kind, source, picture, query.question(rng), answer, benchmark)
    query = ask(benchmark, scene, rng)
    true = query.answer(scene)
    assert true is not None
    answer = query.wrong(true, rng) if kind == "wrong" else true
    return Draft(kind, source, picture, query.question(rng), answer, benchmark)


def _about_another(
    benchmark: str, shown: Scene, rng: np.random.Generator, digits: NDArray[np.int64]
) -> tuple[Query, str]:
    """A question with its true answer for another scene, which is not the answer for the shown one."""
    while True:
        other = scene_for(benchmark, rng, digits)
        query = ask(benchmark, other, rng)
        answer = query.answer(other)
        assert answer is not None
        if answer != query.answer(shown):
            return query, answer
