"""Images out of benchmark files: decoded, checked, written once each under the hash of their bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.score import Frozen
from curation_plugins.tasks.llava.benchmarks.tsv import Row, cell

_REFERENCE = 64
"""A cell of at most so many characters is another row's index (VLMEvalKit dataset/image_base.py L166-169)."""
_SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
_HINT = "Fetch the task's files again: the file is damaged."


class Picture(Frozen):
    """A checked image of a benchmark."""

    path: str
    """Below the benchmarks folder; `images/<first two>/<SHA-256 of the bytes>.<suffix>`."""
    pixels: str
    """SHA-256 of size and RGB values: equal for one image stored in two lossless ways."""


class PictureBook:
    """The images of one benchmark file, by row index.

    Args:
        folder: where images are written; the same folder may serve many files.
        name: the file's name, for messages.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._pictures: dict[str, tuple[Picture, ...]] = {}
        self._references: dict[str, str] = {}

    def read(self, rows: Iterable[Row]) -> None:
        """Takes in the images of all rows; a row without one stays without (VLMEvalKit leaves such rows out).

        Raises:
            AssetsInvalid: base64 or image bytes that break off, or a reference to a row that has no image.
        """
        for row in rows:
            text = cell(row, "image")
            if not text:
                continue
            if len(text) <= _REFERENCE:
                self._references[row["index"]] = text
                continue
            where = f"{self._name}, row with index {row['index']}"
            self._pictures[row["index"]] = tuple(self._keep(part, where) for part in _parts(text))
        for index, target in self._references.items():
            if target not in self._pictures:
                raise AssetsInvalid(
                    f"{self._name}, row with index {index}: its image is {target!r}, "
                    "neither an image nor the index of a row that has one",
                    hint=_HINT,
                )

    def of(self, index: str) -> tuple[Picture, ...]:
        """The images of a row, possibly those of the row it refers to; empty if it has none."""
        return self._pictures.get(self._references.get(index, index), ())

    def _keep(self, text: str, where: str) -> Picture:
        data = _decoded(text, where)
        kind, pixels = _checked(data, where)
        digest = hashlib.sha256(data).hexdigest()
        path = f"images/{digest[:2]}/{digest}.{kind}"
        target = self._folder / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(data)
            partial.replace(target)
        return Picture(path=path, pixels=pixels)


def _parts(text: str) -> list[str]:
    """One base64 text, or several written as a Python list: the alphabet has neither comma nor quote."""
    if text[0] == "[" and text[-1] == "]":
        return [part.strip().strip("'\"") for part in text[1:-1].split(",")]
    return [text]


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AssetsInvalid(f"{where}: the image is no complete base64 ({error})", hint=_HINT) from None


def _checked(data: bytes, where: str) -> tuple[str, str]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            suffix = _SUFFIXES.get(image.format or "", "img")
            colours = image.convert("RGB")
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise AssetsInvalid(f"{where}: the image cannot be decoded ({error})", hint=_HINT) from None
    size = f"{colours.width}x{colours.height}/".encode()
    return suffix, hashlib.sha256(size + colours.tobytes()).hexdigest()
