"""A small pool of pairs with real pictures, and a CLIP model that trains on it in no time."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.index_making import build_index
from curation_plugins.tasks.datacomp.pair_bytes import Files
from curation_plugins.tasks.datacomp.pool_index import PoolIndex

WORDS = ("red", "green", "blue", "dark", "light", "square", "photo", "of", "a", "the")


def uid(number: int) -> str:
    """As spread as DataComp's hashes."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def picture(seed: int, width: int, height: int, kind: str = "JPEG") -> bytes:
    """Smooth noise with some grain, so that a JPEG of it is like a photograph's."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 6, (height, width, 1)).astype(np.int16)
    out = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(out, kind, quality=90)
    return out.getvalue()


def write_pictures(
    assets: Path, shards: int, pairs: int, sides: tuple[int, int], broken: Collection[int], pictures: int
) -> None:
    """Shards of that many pairs each; of those in `broken`, counted over all shards, the image ends in the middle."""
    rng = random.Random(7)
    different = min(pictures, shards * pairs)
    made = [picture(number, rng.randint(*sides), rng.randint(*sides)) for number in range(different)]
    for shard in range(shards):
        with tarfile.open(layout.shards(assets) / f"{shard:08d}.tar", "w") as archive:
            for number in range(shard * pairs, (shard + 1) * pairs):
                image = made[number % len(made)]
                members = {
                    "jpg": image[: len(image) // 2] if number in broken else image,
                    "json": json.dumps({"uid": uid(number), "width": 1}).encode(),
                    "txt": " ".join(rng.choices(WORDS, k=rng.randint(1, 9))).encode(),
                }
                for ending, data in members.items():
                    member = tarfile.TarInfo(f"{number:09d}.{ending}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


def make_assets(
    assets: Path,
    shards: int = 2,
    pairs: int = 40,
    sides: tuple[int, int] = (20, 36),
    broken: Collection[int] = (),
    pictures: int = 10_000,
) -> Path:
    """The assets folder of such a pool, indexed, with a model.

    Args:
        pictures: how many different ones there are.
    """
    layout.shards(assets).mkdir(parents=True)
    layout.metadata(assets).mkdir(parents=True)
    write_pictures(assets, shards, pairs, sides, broken, pictures)
    table = pa.table({"uid": [uid(number) for number in range(shards * pairs)]})
    pq.write_table(table, layout.metadata(assets) / "00000000.parquet")
    build_index(assets, lambda what, done: None)
    write_model(assets)
    return assets


def files_of(assets: Path) -> Files:
    """Where the pairs of all rows lie."""
    pool = PoolIndex(assets)
    return Files(tuple(pool.shards), pool.samples)


def write_model(assets: Path, **vision: Any) -> None:
    """A model of open_clip's for 16-pixel images and texts of 16 words, with a tokenizer of its own."""
    folder = layout.model(assets)
    folder.mkdir(parents=True)
    words = {word: number for number, word in enumerate(("<pad>", "<end>", "<unknown>", *WORDS))}
    told = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8, **vision},
            "text_cfg": {
                **{"context_length": 16, "vocab_size": len(words), "width": 16, "heads": 2, "layers": 1},
                **{"pad_id": 0, "eos_id": 1, "pool_type": "eos", "hf_tokenizer_name": "own"},
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**names, "unk_token": "<unknown>"}))
