"""`python -m curation_plugins.tasks.llava.audit.embeddings ASSETS CLIP_FOLDER OUT`: benchmark pictures by CLIP.

For a pool whose signals were made (`harness signals`): rows whose picture CLIP takes for a benchmark's. It may also
see crops, frames and mirrored pictures, which the hash does not. It runs after the pool is fixed, and alike is not
the same, so its findings are for a reader and exclude nothing. OUT becomes a JSONL file of findings; it names
benchmark files, so it belongs on the host.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid, PluginLayerError
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import benchmark_items
from curation_plugins.tasks.llava.audit.findings import Finding
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.rows import Row, RowFile

COSINE = 0.95
"""Least cosine of two pictures' vectors. A place to begin looking: no CLIP was at hand to measure it with."""
CHUNK = 4096
"""Rows compared at a time."""

Vectors = NDArray[np.floating]


def near(rows: Vectors, items: Vectors, least: float = COSINE) -> Iterator[tuple[int, int, float]]:
    """(row, item, cosine) of each row's nearest item, where it is near enough, in order of rows.

    Args:
        rows: shape (rows, width), any length; zeros for a row without a picture. May be a file mapped into memory.
        items: shape (items, width).

    Raises:
        AssetsInvalid: the widths differ.
    """
    if rows.shape[1] != items.shape[1]:
        raise AssetsInvalid(
            f"vectors of {rows.shape[1]} and of {items.shape[1]} numbers cannot be compared",
            hint="Take the CLIP model that the pool's signals were made with.",
        )
    known = _unit(items)
    for start in range(0, len(rows), CHUNK) if len(known) else ():
        cosines = _unit(rows[start : start + CHUNK]) @ known.T
        nearest = cosines.argmax(axis=1)
        best = cosines[np.arange(len(nearest)), nearest]
        for place in np.flatnonzero(best >= least).tolist():
            yield start + place, int(nearest[place]), float(best[place])


def embedding_findings(
    assets: Path, items: Sequence[BenchmarkItem], pictures: Sequence[str], vectors: Vectors
) -> Iterator[Finding]:
    """Findings of the pool in `assets`.

    Args:
        pictures: the items' different pictures, and in `vectors` what CLIP makes of each.

    Raises:
        AssetsInvalid: the pool's signals hold no CLIP vectors, or of another model.
    """
    path = layout.pool(assets) / "signals" / "clip_embeddings.npy"
    try:
        both = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AssetsInvalid(f"{path} cannot be read ({error})", hint="`harness signals TASK` makes it.") from None
    owners = {image: item for item in reversed(items) for image in item.images}
    rows = RowFile(layout.rows_file(assets))
    for row, picture, cosine in near(both[:, : both.shape[1] // 2], vectors):
        owner = owners[pictures[picture]]
        yield Finding(
            row=row,
            rule="embedding",
            benchmark=owner.benchmark,
            item=owner.item,
            group=owner.group,
            score=round(cosine, 4),
            how="nearest by CLIP",
            row_says=rows[row].image or "",
            item_says=pictures[picture],
        )


def _unit(vectors: Vectors) -> NDArray[np.float32]:
    floats = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    return np.asarray(np.divide(floats, lengths, out=np.zeros_like(floats), where=lengths > 0))


def _shown(pictures: Sequence[str]) -> list[Row]:
    """A row for each picture: what the CLIP of the signals takes."""
    said = [{"from": "human", "value": "picture"}, {"from": "gpt", "value": "picture"}]
    return [Row.model_validate({"id": "", "image": image, "conversations": said}) for image in pictures]


def main(arguments: list[str]) -> None:
    """Arguments: the assets folder, the CLIP model's folder, and the file to write."""
    from curation_plugins.tasks.llava.clip import Clip  # torch, which comparing vectors does not need

    assets, out = Path(arguments[0]), Path(arguments[2])
    try:
        items = benchmark_items(assets)
        pictures = sorted({image for item in items for image in item.images})
        both = np.array(Clip(Path(arguments[1])).vectors(_shown(pictures), layout.benchmarks(assets)))
        findings = list(embedding_findings(assets, items, pictures, both[:, : both.shape[1] // 2]))
    except PluginLayerError as error:
        sys.exit(f"{error.message}\n{error.hint}")
    out.write_text("".join(one.model_dump_json() + "\n" for one in findings), encoding="utf-8")
    sys.stdout.write(f"{len(findings)} row(s) with a picture that CLIP takes for a benchmark's: {out}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
