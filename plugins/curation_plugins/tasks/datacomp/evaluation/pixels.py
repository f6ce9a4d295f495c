"""Images of a set as the model wants them: decoded once, kept as bytes, turned into floats on the way in."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.picture_hashes import UNREADABLE
from curation_plugins.tasks.datacomp.evaluation.files import SetFiles
from curation_plugins.tasks.datacomp.evaluation.outcome import image_group

BROKEN_SHARE: Final = 0.01
"""More images than this that cannot be read, as a share of a set, are a failure of ours and no score."""
VERSION: Final = 1
"""Of what is kept on disk; counted up when it changes."""

_ENDINGS: Final = (["MaybeToTensor", "Normalize"], ["ToTensor", "Normalize"])


class Preprocess:
    """open_clip's validation transforms in two parts, with exactly the values of the whole.

    The first is geometry: RGB image in, 8-bit pixels out, which is what can be kept. The second scales and shifts
    them as floats. DataComp's evaluation opens images as RGB before the geometry (webdataset's ``pil`` handler), and
    so is done here.
    """

    def __init__(self, compose: Any) -> None:
        """``compose`` ends with a conversion to a tensor and a normalisation, as ``open_clip.image_transform`` makes
        it for validation.

        Raises:
            ValueError: it does not.
        """
        steps = [*compose.transforms]
        if [type(step).__name__ for step in steps[-2:]] not in _ENDINGS:
            raise ValueError(f"not open_clip's validation transforms: {compose}")
        *geometry, _, self._normalise = steps
        self._geometry = geometry
        self.key = hashlib.sha256(f"{VERSION} {geometry!r}".encode()).hexdigest()
        """Names the first part."""

    def pixels(self, data: bytes) -> NDArray[np.uint8] | None:
        """An image file's pixels, shape (3, height, width); none if it cannot be read."""
        try:
            with Image.open(io.BytesIO(data)) as opened:
                image = opened.convert("RGB")
            for step in self._geometry:
                image = step(image)
        except UNREADABLE:
            return None
        return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))

    def floats(self, pixels: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        """What the model is given, float32, shape (images, 3, height, width)."""
        batch = torch.from_numpy(pixels).to(device).to(torch.float32).div(255)
        normalised: torch.Tensor = self._normalise(batch)
        return normalised


@dataclass
class Images:
    """What is known of a set's images after they were gone through once."""

    groups: NDArray[np.bytes_]
    """First 16 hexadecimal digits of each image file's SHA-256; empty where it could not be read. Shape (images,)."""

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.not_equal(self.groups, b"")

    def require_readable(self, files: SetFiles) -> None:
        """Raises:
        AssetsInvalid: too many cannot be read; the first one is named.
        """
        broken = int((~self.readable).sum())
        if broken > BROKEN_SHARE * len(self.groups):
            first = int(np.flatnonzero(~self.readable)[0])
            raise files.wrong(
                files.items[first],
                f"cannot be read as an image, nor can {broken - 1} more of the {len(self.groups)} images",
            )


@dataclass
class PixelStore:
    """Decoded images on disk: one array a set, copy of it and geometry. Several workers may share a folder: what is
    there is whole, for it is renamed into place."""

    folder: Path | None
    """None: a folder of its own that goes with it."""
    budget: int
    """Bytes; sets beyond are not kept."""
    threads: int = 1
    _own: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False, repr=False)

    def room(self) -> Path:
        """Where things are kept."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self.folder
        if self._own is None:
            self._own = tempfile.TemporaryDirectory(prefix="decoded-")
        return Path(self._own.name)

    def batches(
        self, files: SetFiles, preprocess: Preprocess, size: int, images: Images
    ) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """(which images, their pixels of shape (k, 3, height, width)) in order, ``size`` at a time; those of images
        that cannot be read are zero. ``images`` is filled in by the time the last one is out.

        Raises:
            AssetsInvalid: too many images cannot be read, or a file changed meanwhile.
        """
        name = hashlib.sha256(f"{preprocess.key} {files.digest}".encode()).hexdigest()[:32]
        kept, groups = self.room() / f"{name}.pixels.npy", self.room() / f"{name}.groups.npy"
        pixels = _kept(kept, groups, images)
        if pixels is None:
            yield from self._decoded(files, preprocess, size, images, kept, groups)
            return
        for start in range(0, len(pixels), size):
            yield slice(start, min(start + size, len(pixels))), np.array(pixels[start : start + size])

    def _decoded(
        self, files: SetFiles, preprocess: Preprocess, size: int, images: Images, kept: Path, groups: Path
    ) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """The same, from the images themselves; what they give is kept if there is room."""
        copy: _Copy | None = None
        try:
            with ThreadPoolExecutor(self.threads) as pool:
                for where, pixels in _in_order(pool, files, preprocess, size, images):
                    if where.start == 0 and self._fits(len(files.items) * pixels[0].nbytes):
                        copy = _Copy(kept, (len(files.items), *pixels.shape[1:]))
                    if copy is not None and not copy.add(pixels):
                        copy = None
                    yield where, pixels
            images.require_readable(files)
            if copy is not None:
                save(groups, images.groups)
                copy.publish()  # last: whoever sees it finds the other, too
        finally:
            if copy is not None:
                copy.drop()

    def _fits(self, wanted: int) -> bool:
        held = sum(path.stat().st_size for path in self.room().glob("*.pixels.npy"))
        return held + wanted <= self.budget


class _Copy:
    """An array file that is written row by row. A full disk costs the copy, not the work."""

    def __init__(self, target: Path, shape: tuple[int, ...]) -> None:
        self._target, self._path = target, target.with_suffix(f".{os.getpid()}.part")
        self._file: BinaryIO | None = self._path.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, rows: NDArray[np.uint8]) -> bool:
        """Whether there was room for them; if not, the copy is gone."""
        assert self._file is not None
        try:
            self._file.write(rows.tobytes())
            self._file.flush()
        except OSError:
            self.drop()
            return False
        return True

    def publish(self) -> None:
        self._path.replace(self._target)

    def drop(self) -> None:
        """Close it, and remove what was not published."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)


def _kept(kept: Path, groups: Path, images: Images) -> NDArray[np.uint8] | None:
    """Pixels of an earlier pass, and ``images`` filled in; none if they are not there or not what they should be."""
    try:
        names, pixels = np.load(groups), np.load(kept, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    if names.shape != images.groups.shape or names.dtype != images.groups.dtype:
        return None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != len(names):
        return None
    images.groups[:] = names
    found: NDArray[np.uint8] = pixels
    return found


def _in_order(
    pool: ThreadPoolExecutor, files: SetFiles, preprocess: Preprocess, size: int, images: Images
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Batches of decoded images; the next one is decoded while the caller works on one."""

    def decode(place: int) -> NDArray[np.uint8] | None:
        data = files.image(files.items[place])
        pixels = preprocess.pixels(data)
        images.groups[place] = b"" if pixels is None else image_group(data)
        return pixels

    total, shape = len(files.items), None
    starts = range(0, total, size)
    waiting = [[pool.submit(decode, place) for place in range(0, min(size, total))]]
    for start in starts:
        if start + size < total:
            ahead = range(start + size, min(start + 2 * size, total))
            waiting.append([pool.submit(decode, place) for place in ahead])
        found = [future.result() for future in waiting.pop(0)]
        shape = next((pixels.shape for pixels in found if pixels is not None), shape)
        if shape is None:
            raise AssetsInvalid(
                f"{files.folder}: none of the first {len(found)} images can be read",
                hint="The set is damaged, or not one of images. Fetch it again.",
            )
        blank = np.zeros(shape, np.uint8)
        yield slice(start, start + len(found)), np.stack([blank if one is None else one for one in found])


def save(path: Path, array: NDArray[Any]) -> None:
    """Write an array file whole or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.part")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    temporary.replace(path)
