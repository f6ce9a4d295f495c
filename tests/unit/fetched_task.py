"""A fetched task on stand-ins: a few records in LLaVA's format, a zip of images, a model folder, a benchmark file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from curation_plugins.config import TaskConfig
from curation_plugins.hub.store import Store
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.rows import IMAGES, read_rows
from curation_plugins.tasks.llava.task import LlavaTask
from hub_bench import Hub
from made_benchmarks import png, write_tsv

RECORDS: list[dict[str, Any]] = [
    {
        "id": "000000033471",
        "image": "coco/train2017/000000033471.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat are the colors of the bus in the image?"},
            {"from": "gpt", "value": "The bus in the image is white and red."},
        ],
    },
    {
        "id": "wgByO4Y_0",
        "model": "",
        "conversations": [{"from": "human", "value": "Say “ü”."}, {"from": "gpt", "value": "ü"}],
    },
    {
        "id": "000000033471",
        "image": "coco/train2017/000000033471.jpg",
        "conversations": [{"from": "human", "value": "Again?\n<image>"}, {"from": "gpt", "value": "Again."}],
    },
    {
        "id": 17,
        "image": "vg/VG_100K/2.jpg",
        "conversations": [{"from": "human", "value": "<image>\nWhere?"}, {"from": "gpt", "value": "There."}],
    },
]
"""Two with the same id, one without image, one whose id is a number."""

MMSTAR = [
    {"index": n, "image": n + 1, "question": f"Which is it, {n}?", "A": "this", "B": "that", "answer": "A"}
    for n in range(24)
]
MMSTAR = [{**row, "category": "c", "l2_category": "d"} for row in MMSTAR]


ROWS = 60
"""Of the pool that is taken from a task whose files were made."""


def zipped(names: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return out.getvalue()


def put_on(hub: Hub, scratch: Path, records: list[dict[str, Any]] = RECORDS) -> None:
    """Everything the task wants."""
    hub.datasets["owner/pool"] = {"mix.json": json.dumps(records).encode()}
    hub.models["owner/model"] = {"config.json": b'{"model_type": "llava"}', "model.safetensors": b"w" * 5000}
    hub.files["train2017.zip"] = zipped({"train2017/000000033471.jpg": png(1), "train2017/unused.jpg": png(2)})
    hub.files["vg.zip"] = zipped({"VG_100K/2.jpg": png(3)})
    write_tsv(scratch / "MMStar.tsv", MMSTAR)
    hub.files["MMStar.tsv"] = (scratch / "MMStar.tsv").read_bytes()


def put_model_and_pool(hub: Hub, made: Path) -> int:
    """The micro task's base model and the beginning of its pool, as if they had been published."""
    base, pool = layout.base_model(made), layout.pool(made)
    hub.models["owner/model"] = {path.name: path.read_bytes() for path in base.iterdir() if path.is_file()}
    records, images = [], {}
    for row in list(read_rows(layout.rows_file(made)))[:ROWS]:
        turns = [{"from": turn.speaker, "value": turn.value} for turn in row.conversations]
        record = {"id": row.id, "conversations": turns}
        if row.image is not None:
            name = row.image.removeprefix(IMAGES)
            record["image"] = f"coco/train2017/{name}"
            images[f"train2017/{name}"] = (pool / row.image).read_bytes()
        records.append(record)
    hub.datasets["owner/pool"]["mix.json"] = json.dumps(records).encode()
    hub.files["train2017.zip"] = zipped(images)
    return len(records)


def tree(hub: Hub, **assets: Any) -> dict[str, Any]:
    """The task as its task.yaml would have it."""
    entry = {"family": "llava-1.5", "repo": "owner/model", "bytes": 5000}
    sizes = {"parameters": 1000, "tower": 100, "layers": 1, "width": 8}
    pool = {
        "title": "Made pool",
        "rows": len(RECORDS),
        "annotations": {"kind": "hub", "type": "dataset", "repo": "owner/pool", "files": ["mix.json"]},
        "images": {
            "coco/train2017": {"source": {"kind": "url", "url": hub.url("train2017.zip")}, "inside": ["train2017"]},
            "vg/VG_100K": {"source": {"kind": "url", "url": hub.url("vg.zip")}, "inside": ["VG_100K"]},
        },
    }
    files = {"MMStar": {"url": hub.url("MMStar.tsv")}}
    return {
        "name": "llava",
        "family": "llava",
        "title": "a fetched task",
        "submission": {"rows_max": 2},
        "benchmarks": ["MMStar"],
        "assets": {
            "kind": "fetched",
            "model": entry | sizes,
            "pool": pool,
            "benchmark_files": files,
            **assets,
        },
        "recipe": {"epochs": 1, "batch": 2, "lr": 1e-4},
    }


def fetched_task(hub: Hub, **assets: Any) -> LlavaTask:
    return LlavaTask(TaskConfig.model_validate(tree(hub, **assets)))


def fetch_all(task: LlavaTask, cache: Path) -> None:
    with httpx.Client(follow_redirects=True, timeout=10) as client:
        for want in task.downloads():
            Store(cache).fetch(want, client, lambda want, what, have, total: None)
