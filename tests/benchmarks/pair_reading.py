"""Pairs a second that reach a training: our reader of selected pairs beside plain webdataset with a filter.

    python tests/benchmarks/pair_reading.py [--pairs 12000] [--workers 2] [--rounds 3] [--folder DIR]

Shards of generated pictures (256 to 512 pixels, JPEG), of which 100 %, 30 % and 3 % are selected by uid. Both give
batches of the same transform and tokens, ViT-B/32's, with the same number of processes, in turns. Webdataset reads as
open_clip's training does (its stages in its order), with the filter where it is cheapest: on the undecoded sample;
its shuffle buffer is left out, which would have to fill first. Our memory of decoded pairs, which pays only in a
small selection, is switched off. Besides pairs a second, processor seconds of all processes are compared: other work
on the machine changes them little.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import webdataset as wds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from curation_plugins.tasks.datacomp import layout, models, pairs
from curation_plugins.tasks.datacomp.compact import compacted
from curation_plugins.tasks.datacomp.feed import Feed
from curation_plugins.tasks.datacomp.order import Order
from curation_plugins.tasks.datacomp.pair_bytes import Files
from curation_plugins.tasks.datacomp.pairs import to_model
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_plugins.tasks.hardware import set_determinism
from small_clip_pool import make_assets

SHARES = (1.0, 0.3, 0.03)
AIMS = (1.0, 2.0, 5.0)
READ = 2048
"""Pairs in a measurement: the smallest selection is gone through several times."""
NAMES = {
    "plain": "webdataset and filter",
    "pillow": "ours, Pillow shrinks",
    "ours": "ours, torchvision shrinks",
    "compact": "the same from one file",
}
SIZE = 224
BATCH = 128
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@cache
def tokenizer() -> models.Tokenizer:
    """ViT-B/32's, made once."""
    return models.tokenizer(Recipe(samples=BATCH, batch=BATCH, lr=1.0, warmup=1, weight_decay=0.0), Path())


def ours(files: Files, count: int, workers: int, resize: str = "torchvision") -> Iterator[int]:
    recipe = Recipe(samples=count, batch=BATCH, lr=1.0, warmup=1, weight_decay=0.0, workers=workers, resize=resize)
    order = Order(np.ones(len(files), np.int64), seed=0)
    for batch in Feed(files, order, tokenizer(), (SIZE, SIZE), recipe, seed=0).batches(0):
        yield len(to_model(batch.pixels, MEAN, STD))


def plain(folder: Path, uids: frozenset[str], count: int, workers: int) -> Iterator[int]:
    from open_clip.transform import image_transform  # after the package of ours that makes torchvision importable

    words = tokenizer()
    transform = image_transform(SIZE, is_train=True, mean=MEAN, std=STD)
    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    dataset = wds.DataPipeline(
        wds.ResampledShards(shards),
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        wds.select(lambda sample: json.loads(sample["json"])["uid"] in uids),
        wds.decode("pilrgb"),
        wds.rename(image="jpg;png;jpeg;webp", text="txt"),
        wds.map_dict(image=transform, text=lambda text: words([text])[0]),
        wds.to_tuple("image", "text"),
        wds.batched(BATCH, partial=False),
    ).with_epoch(count // BATCH // max(1, workers))
    for images, _ in wds.WebLoader(dataset, batch_size=None, shuffle=False, num_workers=workers):
        yield len(images)


def measured(batches: Callable[[], Iterator[int]]) -> dict[str, float]:
    """Pairs a second, and processor seconds a thousand pairs."""
    before, began = _processor(), time.perf_counter()
    seen = sum(batches())
    seconds = time.perf_counter() - began
    return {"a_second": seen / seconds, "cpu_a_thousand": 1000 * (_processor() - before) / seen, "pairs": seen}


def _processor() -> float:
    """Seconds of this process and of those it has waited for."""
    found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in found)


def run(assets: Path, workers: int, rounds: int) -> list[dict[str, Any]]:
    pool = PoolIndex(assets)
    every = np.random.default_rng(0).permutation(pool.rows)
    table = []
    for share in SHARES:
        rows = np.sort(every[: round(share * pool.rows)])
        files = Files(tuple(pool.shards), pool.samples, rows)
        uids = frozenset(f"{int(uid[0]):016x}{int(uid[1]):016x}" for uid in pool.uids[rows])
        count = READ // (BATCH * workers) * BATCH * workers
        with tempfile.TemporaryDirectory(dir=assets) as scratch:
            began = time.perf_counter()
            copy = compacted(files, Path(scratch) / "compact", lambda what, done: None)
            copying = time.perf_counter() - began
            ways = {
                "plain": lambda u=uids, c=count: plain(layout.shards(assets), u, c, workers),
                "ours": lambda f=files, c=count: ours(f, c, workers),
                "pillow": lambda f=files, c=count: ours(f, c, workers, "pillow"),
                "compact": lambda f=copy, c=count: ours(f, c, workers),
            }
            tokenizer()
            found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    found[name].append(measured(way))
        table.append({"share": share, "selected": len(rows), "copying": copying, **_medians(found)})
        print(f"{share:.0%} measured", file=sys.stderr, flush=True)
    return table


def _medians(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: statistics.median(one[key] for one in several) for key in several[0]}
        for name, several in found.items()
    }


def _lines(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    base = row["plain"]
    for name in ("plain", "pillow", "ours", "compact"):
        way = row[name]
        yield (
            f"{row['share']:.0%}",
            NAMES[name],
            f"{way['a_second']:.0f}",
            f"{way['a_second'] / base['a_second']:.2f}",
            f"{way['cpu_a_thousand']:.2f}",
            f"{base['cpu_a_thousand'] / way['cpu_a_thousand']:.2f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the generated pool here, and use it if it is there")
    options = parser.parse_args()
    pairs.KEPT_BYTES = 0
    set_determinism(1, 0, deterministic=False)
    random.seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        assets = (options.folder or Path(scratch)) / "assets"
        if not assets.exists():
            shards = 2 * options.workers
            make_assets(assets, shards=shards, pairs=options.pairs // shards, sides=(256, 512), pictures=256)
        table = run(assets, options.workers, options.rounds)
    print(f"{measuring.machine()}; {options.pairs} pairs, {options.workers} processes, medians of {options.rounds}\n")
    head = ("selected", "reader", "pairs/s", "ratio", "CPU s a thousand pairs", "ratio")
    measuring.table([head, *(line for row in table for line in _lines(row))])
    print("\nSeconds to copy the selected pairs into one file: ", *(f"{row['copying']:.1f}" for row in table))
    for row, aim in zip(table, AIMS, strict=True):
        ratio = row["ours"]["a_second"] / row["plain"]["a_second"]
        measuring.verdict(f"pairs a second at {row['share']:.0%}, ours to webdataset", ratio, aim, at_most=False)


if __name__ == "__main__":
    main()
