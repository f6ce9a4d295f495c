"""Small pools as DataComp's own tools leave them: metadata files, features, and shards of img2dataset."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def uid(number: int) -> str:
    """As spread as DataComp's hashes."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def caption(number: int) -> str:
    return f"a photo of thing {number}, 高い" + "!" * (number % 5)


def image(number: int) -> bytes:
    return b"\xff\xd8 picture %d" % number


def url(number: int) -> str:
    return f"https://site{number % 3}.example/{number}.jpg"


def write_metadata(folder: Path, name: str, uids: Sequence[str], numbers: Sequence[int]) -> None:
    """A parquet file and its features."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "uid": list(uids),
            "url": [url(number) for number in numbers],
            "text": [caption(number) for number in numbers],
            "original_width": [200 + number for number in numbers],
            "clip_l14_similarity_score": [(number * 7919 % 1000) / 1000 for number in numbers],
        }
    )
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=30)
    np.savez(folder / f"{name}.npz", l14_img=np.outer(numbers, np.ones(4)).astype(np.float32))


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def sample(number: int, facts: Mapping[str, object] | None = None) -> dict[str, bytes]:
    """Ending → content of a sample's members."""
    told = {"uid": uid(number), "caption": caption(number)} if facts is None else facts
    return {"jpg": image(number), "json": json.dumps(told).encode(), "txt": caption(number).encode()}


def write_shard(path: Path, samples: Iterable[Mapping[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for place, members in enumerate(samples):
            for ending, data in members.items():
                add_member(archive, f"{place:09d}.{ending}", data)


@dataclass
class Download:
    """What DataComp's download_upstream.py leaves: `metadata/` and `shards/`."""

    folder: Path

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata"

    @property
    def shards(self) -> Path:
        return self.folder / "shards"


def download(folder: Path, rows: int = 300, alive: int = 240, files: int = 3, shards: int = 2) -> Download:
    """A pool of ``rows`` uids, the first ``alive`` of which have an image."""
    made = Download(folder)
    for number, part in enumerate(np.array_split(np.arange(rows), files)):
        write_metadata(made.metadata, uid(-number - 1), [uid(one) for one in part], part.tolist())
    for number, part in enumerate(np.array_split(np.arange(alive), shards)):
        write_shard(made.shards / f"{number:08d}.tar", [sample(one) for one in part.tolist()])
        (made.shards / f"{number:08d}_stats.json").write_text(json.dumps({"successes": len(part)}))
    return made


def as_assets(made: Download, assets: Path) -> Path:
    """The folder of a task's files, before its index is made."""
    (assets / "pool").mkdir(parents=True)
    (assets / "pool" / "metadata").symlink_to(made.metadata)
    (assets / "shards").symlink_to(made.shards)
    return assets
