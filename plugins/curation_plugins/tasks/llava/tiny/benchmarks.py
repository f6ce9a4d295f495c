"""The five benchmarks of `llava-tiny`: questions about images that no pool row shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curation_plugins.tasks.handwritten import digit_images
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.plain import PlainBenchmark
from curation_plugins.tasks.llava.items import half, write_items
from curation_plugins.tasks.llava.tiny.pool import save_png
from curation_plugins.tasks.llava.tiny.questions import BENCHMARKS, ask
from curation_plugins.tasks.llava.tiny.scenes import (
    Scene,
    digit_shares,
    draw,
    random_sign,
    random_things,
)

_SHARED = ("lookup", "counting", "existence")
"""Asked about the same images of shapes; such items form one group."""


def make_benchmarks(folder: Path, items: int, seed: int) -> None:
    """Writes `folder/public.jsonl`, `folder/sealed.jsonl` and `folder/images/`.

    Each half holds `items` items of every benchmark; an image and its questions, or a handwritten digit, is in
    one half only. Digits are those that neither the pool nor the base model ever saw.
    """
    rng = np.random.default_rng([seed, 31])
    (folder / "images").mkdir(parents=True)
    halves: dict[str, list[BenchmarkItem]] = {"public": [], "sealed": []}
    for family, benchmarks in (("digit", ("digits",)), ("sign", ("signs",)), ("shapes", _SHARED)):
        scenes = _scenes(family, seed, rng)
        room = {"public": items, "sealed": items}
        number = 0
        while any(room.values()):
            name = f"{family}-{number:04d}"
            number += 1
            scene = next(scenes)
            where = half(name, str(seed))
            if not room[where]:
                continue
            room[where] -= 1
            image = f"images/{name}.png"
            save_png(draw(scene, rng), folder / image)
            halves[where].extend(_item(b, name, image, scene, rng) for b in benchmarks)
    order = {benchmark: place for place, benchmark in enumerate(BENCHMARKS)}
    for where in ("public", "sealed"):
        write_items(folder, where, sorted(halves[where], key=lambda i: (order[i.benchmark], i.item)))


def _scenes(family: str, seed: int, rng: np.random.Generator) -> Iterator[Scene]:
    if family == "digit":
        labels = digit_images()[1]
        for index in digit_shares(seed)["benchmarks"].tolist():
            yield Scene(digit=index, value=int(labels[index]))
    while True:
        yield random_sign(rng) if family == "sign" else random_things(rng)


def _item(benchmark: str, name: str, image: str, scene: Scene, rng: np.random.Generator) -> BenchmarkItem:
    query = ask(benchmark, scene, rng)
    answer = query.answer(scene)
    assert answer is not None
    question = query.question(rng)
    return BenchmarkItem(
        benchmark=benchmark,
        item=name,
        group=name,
        prompt=(0, question),
        images=(image,),
        max_tokens=PlainBenchmark.max_tokens,
        question=question,
        answer=answer,
    )
