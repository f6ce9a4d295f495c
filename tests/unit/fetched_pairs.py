"""A fetched DataComp task on stand-ins: metadata, features and two evaluation sets on a hub, shards in a folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from curation_plugins.config import TaskConfig
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.task import DatacompTask
from downloaded_pool import Download, add_member, download
from hub_bench import Hub
from made_benchmarks import png

CLASSES, RETRIEVAL = "vtab/kitti_closest_vehicle_distance", "retrieval/flickr_1k_test_image_text_retrieval"
SETS = (CLASSES, RETRIEVAL)
"""Two of few items: as many are made as the published ones have, since fewer are refused."""


@cache
def _pictures() -> tuple[bytes, ...]:
    return tuple(png(number) for number in range(20))


def _tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            add_member(archive, name, data)
    return out.getvalue()


@cache
def set_files(key: str) -> Mapping[str, bytes]:
    """An evaluation set as the hub has it."""
    known = look_up(key)
    ending = "cls" if key == CLASSES else "txt"
    content = [str(number % (known.classes or 1)).encode() for number in range(known.items or 0)]
    members = (
        pair
        for number, text in enumerate(content)
        for pair in ((f"s{number:07d}.png", _pictures()[number % 20]), (f"s{number:07d}.{ending}", text))
    )
    files = {"test/nshards.txt": b"1", "test/0.tar": _tar(members), "README.md": b"not wanted"}
    if key == CLASSES:
        files["classnames.txt"] = "\n".join(f"class {number}" for number in range(known.classes or 0)).encode()
        files["zeroshot_classification_templates.txt"] = b"a photo of a {c}."
    return files


def put_on(hub: Hub, scratch: Path) -> Download:
    """Everything the task wants but the shards, which stay in the download's folder."""
    made = download(scratch / "own")
    hub.datasets["owner/pool_small"] = {
        "README.md": b"not wanted",
        **{path.name: path.read_bytes() for path in sorted(made.metadata.iterdir())},
    }
    for key in SETS:
        repo = look_up(key).repo
        assert repo is not None
        hub.datasets[repo] = dict(set_files(key))
    return made


def tree(**assets: Any) -> dict[str, Any]:
    """The task as its task.yaml would have it."""
    source = {"kind": "hub", "type": "dataset", "repo": "owner/pool_small"}
    pool = {
        "title": "Made pool",
        "scale": "small",
        "rows": 300,
        "metadata": {**source, "files": ["*.parquet"], "bytes": 10_000},
        "features": {**source, "files": ["*.npz"]},
        "shard_bytes": 1_000_000,
    }
    return {
        "name": "datacomp-small",
        "family": "datacomp",
        "title": "a fetched task",
        "submission": {"kind": "uids", "rows_max": 300, "repeats_max": 2, "samples_min": 2},
        "benchmarks": list(SETS),
        "assets": {"kind": "fetched", "pool": pool, **assets},
        "recipe": {"extends": "small", "batch": 2},
    }


def fetched_pairs(**assets: Any) -> DatacompTask:
    return DatacompTask(TaskConfig.model_validate(tree(**assets)))
