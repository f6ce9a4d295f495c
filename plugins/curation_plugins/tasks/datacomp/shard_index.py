"""The pairs of a shard: of each sample its uid, and where its image and its text lie in the tar."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.tars import Part, samples

ENTRY: Final = np.dtype(
    [("hi", "<u8"), ("lo", "<u8"), ("image", "<u8"), ("image_bytes", "<u4"), ("text", "<u8"), ("text_bytes", "<u4")]
)
"""One pair of a shard: its uid's halves, and offset and length of image and text in the tar, bytes."""

JSON_MOST: Final = 2**20
"""Bytes of a sample's JSON; DataComp's have about 1,000."""
PART_MOST: Final = 2**32 - 1
"""Bytes of an image or a text that the index has room for."""

_UID: Final = re.compile(r"[0-9a-f]{32}", re.IGNORECASE | re.ASCII)
_AGAIN: Final = (
    "Remove this shard and its _stats.json and run DataComp's download_upstream.py again: it makes what is missing."
    " Or remove the shard: its pairs then count as unreachable."
)


@dataclass(frozen=True)
class Shard:
    """What one shard holds."""

    name: str
    bytes: int
    sha256: str
    incomplete: int
    """Samples without image or without text; nobody can choose them."""
    entries: np.ndarray
    """``ENTRY``, shape (pairs,), in the order of the tar."""


def read_shard(path: Path) -> Shard:
    """Index a shard and hash it. Memory is that of its entries.

    Raises:
        AssetsInvalid: as ``tars.samples``; or a sample's JSON has no uid. It names the file and the offset.
    """
    try:
        with path.open("rb") as file:
            found, incomplete = [], 0
            for sample in samples(path, _AGAIN):
                image, text = sample.image(), sample.parts.get("txt")
                if image is None or text is None:
                    incomplete += 1
                    continue
                if max(image.size, text.size) > PART_MOST:
                    raise AssetsInvalid(f"{path}, offset {sample.at}: a member of more than 4 GiB", hint=_AGAIN)
                uid = _uid(path, sample.at, file.fileno(), sample.parts.get("json"))
                found.append((*uid, image.offset, image.size, text.offset, text.size))
            size = os.fstat(file.fileno()).st_size
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AssetsInvalid(f"{path} cannot be read: {error.strerror or error}", hint=_AGAIN) from None
    return Shard(path.name, size, sha256, incomplete, np.array(found, ENTRY))


def _uid(path: Path, at: int, file: int, part: Part | None) -> tuple[int, int]:
    """The two halves of a sample's uid."""
    uid = None
    if part is not None and part.size <= JSON_MOST:
        try:
            told = json.loads(os.pread(file, part.size, part.offset))
            uid = told.get("uid") if isinstance(told, dict) else None
        except (ValueError, RecursionError):
            uid = None
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise AssetsInvalid(
            f"{path}, offset {at}: the sample's JSON has no uid of 32 hexadecimal digits",
            hint="DataComp's download_upstream.py asks img2dataset for it: save_additional_columns=['uid'].",
        )
    return int(uid[:16], 16), int(uid[16:], 16)
