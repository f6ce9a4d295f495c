"""Compares every pair's picture with every picture of the evaluation sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.config import AuditCounts
from curation_plugins.errors import AssetsInvalid
from curation_plugins.picture_hashes import CHUNK, Near, PictureIndex
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.audit.descriptors import copies
from curation_plugins.tasks.datacomp.audit.findings import Finding, FindingFile, Rule, write_counts
from curation_plugins.tasks.datacomp.audit.known import KnownItems
from curation_plugins.tasks.datacomp.pool_index import PoolIndex

VERSION: Final = 1
"""Counted up when a rule or threshold changes."""
FEATURE: Final = "dedup"
"""DataComp's name for the descriptors."""

Progress = Callable[[str, float], None]


def audit_pool(assets: Path, progress: Progress, threads: int = 1) -> AuditCounts | None:
    """Counts the pairs that look like an evaluation item, and writes which; nothing is taken out of the pool.

    By perceptual hash always (`curation_plugins.picture_hashes`), by descriptor where pool and sets have them. The
    shards are read once, in their own order; memory grows with the evaluation items and the findings, and by 8 bytes
    with each row.

    Returns:
        The counts, or none where there are no evaluation sets yet; then nothing is written.

    Raises:
        AssetsInvalid: a set's file or a shard is damaged. Pictures that cannot be read are counted.
    """
    known = KnownItems(assets)
    if not len(known):
        return None
    with PoolIndex(assets) as index, FindingFile(layout.audit(assets)) as file:
        audit = _Audit(index, known, file)
        pictures = PictureIndex(known.images(), threads, lenient=True)
        unreadable = 0
        order = np.lexsort((index.samples["image"], index.samples["shard"]))
        images = (index.image(row) for row in _each(order))
        for place, found in enumerate(pictures.compare(images)):
            if isinstance(found, AssetsInvalid):
                unreadable += 1
            else:
                audit.add_pictures(int(order[place]), found)
            if place % CHUNK == 0:
                progress("audit: pictures", 0.9 * place / index.rows)
        audit.add_descriptors(lambda done: progress("audit: descriptors", 0.9 + 0.1 * done))
        counts = file.counts(index.rows, len(known), unreadable, VERSION)
        counts = counts.model_copy(update={"items_unreadable": pictures.unreadable})
    write_counts(assets, counts)
    return counts


def _each(order: NDArray[np.int64]) -> Iterator[int]:
    """The numbers of an array as Python's, some at a time: a list of twelve million takes half a gigabyte."""
    for start in range(0, len(order), CHUNK):
        yield from order[start : start + CHUNK].tolist()


class _Audit:
    def __init__(self, index: PoolIndex, known: KnownItems, file: FindingFile) -> None:
        self._index = index
        self._known = known
        self._file = file

    def add_pictures(self, row: int, found: list[Near]) -> None:
        """The nearest item of each set."""
        seen = set[str]()
        for near in found:  # nearest first
            benchmark, item = self._known.of(near.known)
            if benchmark not in seen:
                seen.add(benchmark)
                self._add(row, "image", benchmark, item, near.correlation)

    def add_descriptors(self, tell: Callable[[float], None]) -> None:
        """The nearest item of each set, where there are descriptors.

        Raises:
            AssetsInvalid: those of pool and sets are of different widths.
        """
        known = self._known.descriptors() if _has_descriptors(self._index) else []
        if not known:
            return
        width = known[0][1].shape[1]
        done = 0
        for rows, values in self._index.features(FEATURE):
            if values.shape[1] != width:
                raise AssetsInvalid(
                    f"the pool's descriptors have {values.shape[1]} numbers, the evaluation sets' {width}",
                    hint="Compute the sets' descriptors with the model of DataComp's `dedup` features.",
                )
            for start, vectors in known:
                for place, nearest, cosine in copies(values, vectors):
                    benchmark, item = self._known.of(start + nearest)
                    self._add(int(rows[place]), "descriptor", benchmark, item, cosine)
            done += len(rows)
            tell(done / max(1, self._index.rows))

    def _add(self, row: int, rule: Rule, benchmark: str, item: str, score: float) -> None:
        high, low = self._index.uids[row].tolist()
        uid = f"{high:016x}{low:016x}"
        finding = Finding(row=row, uid=uid, rule=rule, benchmark=benchmark, item=item, score=round(score, 6))
        self._file.add(finding)


def _has_descriptors(index: PoolIndex) -> bool:
    for file in index.metadata:
        try:
            with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
                if FEATURE not in arrays.files:
                    return False
        except (OSError, ValueError):
            return False
    return bool(index.metadata)
