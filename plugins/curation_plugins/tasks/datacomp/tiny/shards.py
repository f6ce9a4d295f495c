"""Writes pairs as img2dataset writes a DataComp pool: tar shards with statistics, and the metadata with features."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation_plugins.making import EPOCH
from curation_plugins.tasks.datacomp.tiny.drawing import CANVAS
from curation_plugins.tasks.datacomp.tiny.pool import Pair

FEATURES = ("b32_img", "b32_txt", "l14_img", "l14_txt", "dedup")
"""Keys of the ``.npz`` beside each metadata file; float16, (rows of the file, width)."""

SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("original_width", pa.int64()),
        ("original_height", pa.int64()),
        ("clip_b32_similarity_score", pa.float32()),
        ("clip_l14_similarity_score", pa.float32()),
        ("face_bboxes", pa.list_(pa.list_(pa.float64()))),
        ("sha256", pa.string()),
    ]
)
"""DataComp's columns (its README, "Metadata")."""


def write_shards(folder: Path, pairs: Sequence[Pair], dead: Collection[int], size: int) -> None:
    """Writes ``{:08d}.tar`` and ``{:08d}_stats.json`` for each run of `size` pairs.

    A sample's key is its shard's number and its place in it (12 digits); the pairs whose places are in `dead` could
    not be had: their keys are missing, and the statistics count them.
    """
    folder.mkdir(parents=True)
    for shard, start in enumerate(range(0, len(pairs), size)):
        chosen = range(start, min(start + size, len(pairs)))
        with tarfile.open(folder / f"{shard:08d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for place in chosen:
                if place not in dead:
                    add_sample(tar, f"{shard:08d}{place - start:04d}", _members(pairs[place]))
        lost = sum(place in dead for place in chosen)
        stats = {
            "count": len(chosen),
            "successes": len(chosen) - lost,
            "failed_to_download": lost,
            "failed_to_resize": 0,
            "status_dict": {"success": len(chosen) - lost, "HTTP Error 404: Not Found": lost},
        }
        (folder / f"{shard:08d}_stats.json").write_text(json.dumps(stats, indent=1) + "\n", encoding="utf-8")


def add_sample(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> None:
    """Adds one webdataset sample: neighbouring members with one key; ending to content."""
    for ending, content in members.items():
        entry = tarfile.TarInfo(f"{key}.{ending}")
        entry.size, entry.mtime, entry.mode = len(content), EPOCH, 0o444
        tar.addfile(entry, io.BytesIO(content))


def write_metadata(
    folder: Path, pairs: Sequence[Pair], features: Mapping[str, np.ndarray] | None, files: int
) -> None:
    """Writes the pairs over `files` parquet files, each with an ``.npz`` of the same stem.

    Args:
        features: each of FEATURES, (pairs, width); the two scores are the cosines of its images and texts. None: no
            features, and scores of 0.
    """
    folder.mkdir(parents=True)
    scores = {name: _cosines(features, name, len(pairs)) for name in ("b32", "l14")}
    bounds = np.linspace(0, len(pairs), files + 1).astype(int).tolist()
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        some = pairs[start:stop]
        stem = hashlib.sha256(f"{number} {some[0].uid}".encode()).hexdigest()[:32]
        columns = [
            [pair.uid for pair in some],
            [pair.url for pair in some],
            [pair.text for pair in some],
            [pair.size[0] for pair in some],
            [pair.size[1] for pair in some],
            scores["b32"][start:stop],
            scores["l14"][start:stop],
            [[] for _ in some],
            [_sha256(pair) for pair in some],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), folder / f"{stem}.parquet")
        if features is not None:
            halves: dict[str, Any] = {key: features[key][start:stop].astype(np.float16) for key in FEATURES}
            np.savez(folder / f"{stem}.npz", **halves)


def _cosines(features: Mapping[str, np.ndarray] | None, name: str, count: int) -> np.ndarray:
    if features is None:
        return np.zeros(count, np.float32)
    cosines: np.ndarray = (features[f"{name}_img"] * features[f"{name}_txt"]).sum(1).astype(np.float32)
    return cosines


def _members(pair: Pair) -> dict[str, bytes]:
    told: dict[str, object] = {
        "uid": pair.uid,
        "url": pair.url,
        "caption": pair.text,
        "sha256": _sha256(pair),
        "status": "success",
        "error_message": None,
        "width": CANVAS,
        "height": CANVAS,
        "original_width": pair.size[0],
        "original_height": pair.size[1],
        "face_bboxes": [],
    }
    text = json.dumps(told, indent=1, ensure_ascii=False)
    return {"jpg": pair.image, "json": text.encode(), "txt": pair.text.encode()}


def _sha256(pair: Pair) -> str:
    return hashlib.sha256(pair.image).hexdigest()
