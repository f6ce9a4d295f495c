"""A pool in DataComp's layout with captions, sizes, scores and features drawn at random, no pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

CAPTIONS = (
    "a dog on the beach",
    "red shoes for men",
    "two words",
    "ab c d",
    "hi",
    "Kitchen table with a lamp",
    "the number seven\non a shirt",
    "",
    "wood",
    "Ein Hund am Strand",
    "le chiffre sept est rouge",
    "собака бежит по пляжу",
    "一只狗在海滩上奔跑",
)
ENGLISH = frozenset(CAPTIONS[:7]) | {"wood"}
"""Those that the rule of our own holds to be English."""
WIDTH = 16


def make_pairs(
    folder: Path, files: int = 3, lines: int = 200, seed: int = 0, dead: int = 0
) -> dict[str, dict[str, Any]]:
    """Writes metadata and features; returns every reachable pair by uid, with all of its columns.

    Args:
        dead: uids whose picture cannot be had.
    """
    rng = np.random.default_rng(seed)
    (folder / "metadata").mkdir(parents=True)
    pairs: dict[str, dict[str, Any]] = {}
    for number in range(files):
        uids = [f"{int.from_bytes(rng.bytes(16), 'big'):032x}" for _ in range(lines)]
        b32 = rng.normal(0.25, 0.05, lines).astype(np.float32)
        b32[rng.integers(0, lines, 9)] = b32[0]  # ties
        b32[1] = np.float32(0.28)
        l14 = rng.normal(0.25, 0.05, lines)
        l14[rng.integers(0, lines, 5)] = np.nan
        columns = {
            "uid": uids,
            "url": [f"https://site{place % 4}.example/{uid}.jpg" for place, uid in enumerate(uids)],
            "text": [CAPTIONS[place] for place in rng.integers(0, len(CAPTIONS), lines)],
            "original_width": rng.integers(50, 1500, lines),
            "original_height": rng.integers(50, 1500, lines),
            "clip_b32_similarity_score": b32,
            "clip_l14_similarity_score": l14,
        }
        features = {name: rng.normal(size=(lines, WIDTH)).astype(np.float16) for name in ("l14_img", "l14_txt")}
        parquet.write_table(pyarrow.table(columns), folder / "metadata" / f"{number}.parquet")
        np.savez(folder / "metadata" / f"{number}.npz", **features)
        for place, uid in enumerate(uids):
            pairs[uid] = {name: values[place] for name, values in (columns | features).items()}
    lost = rng.choice(sorted(pairs), size=dead, replace=False).tolist()
    if dead:
        gone = np.sort(np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in lost], dtype="u8,u8"))
        np.save(folder / "unreachable.npy", gone)
    return {uid: pairs[uid] for uid in sorted(pairs.keys() - set(lost))}
