"""The selected pairs copied out of their shards into one file, for disks on which reading here and there is slow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from curation_plugins.tasks.datacomp.pair_bytes import Files, Reader

TOLD_EVERY: Final = 10_000


def compacted(files: Files, folder: Path, progress: Callable[[str, float], None]) -> Files:
    """Copies them, in the order of the shards, so that each shard is read once from front to end.

    The file is as large as the selected images and texts; the folder must not exist.

    Raises:
        AssetsInvalid: a shard cannot be read.
    """
    folder.mkdir()
    target, reader = folder / "pairs", Reader(files)
    samples = np.array(files.at(slice(None)))
    order = np.lexsort((samples["image"], samples["shard"]))
    samples["shard"] = 0
    at = 0
    try:
        with target.open("wb") as out:
            for done, place in enumerate(order.tolist()):
                image, text = reader.image(place), reader.raw_text(place)
                out.write(image)
                out.write(text)
                samples["image"][place], samples["image_bytes"][place] = at, len(image)
                samples["text"][place], samples["text_bytes"][place] = at + len(image), len(text)
                at += len(image) + len(text)
                if done % TOLD_EVERY == 0:
                    progress("copying the selected pairs", done / len(order))
    finally:
        reader.close()
    return Files((target,), samples)
