"""Makes the index and the manifest of a pool from its metadata and shards; nothing of the pool itself is changed."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from curation_plugins.api import Progress
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.manifest import FileFacts, MetadataFacts, PoolManifest, ShardFacts
from curation_plugins.tasks.datacomp.metadata import metadata_files
from curation_plugins.tasks.datacomp.metadata_uids import MetadataUids
from curation_plugins.tasks.datacomp.pool_index import PLACE, SAMPLE
from curation_plugins.tasks.datacomp.shard_index import Shard, read_shard
from curation_plugins.uids.table import UID

_CHUNK: Final = 2**16
"""Rows that are written at once."""
_COPIED: Final = ("image", "image_bytes", "text", "text_bytes")
ResultT = TypeVar("ResultT")


def build_index(assets: Path, progress: Progress, threads: int = 1) -> PoolManifest:
    """Writes ``index/``, ``pool/unreachable.npy`` and ``pool/manifest.json``.

    Memory: 48 bytes a uid of the metadata, whatever the shards hold (``tests/benchmarks/pool_index.py`` measures it).

    Args:
        threads: processes that read shards and hash files.

    Raises:
        AssetsInvalid: metadata or a shard cannot be read, or nothing of the metadata is in the shards.
    """
    files, tars = metadata_files(layout.metadata(assets)), shard_files(layout.shards(assets))
    progress("reading the metadata's uids", 0.0)
    table = MetadataUids(files)
    join = Join(table, len(tars))
    for done, shard in enumerate(_each(read_shard, tars, threads), 1):
        join.add(shard)
        progress(f"indexing and hashing shards: {done} of {len(tars)}", 0.1 + 0.7 * done / len(tars))
    if not join.reachable:
        raise AssetsInvalid(
            f"none of the {join.pairs} pairs in {layout.shards(assets)} is in the metadata",
            hint="Metadata and shards are of different pools.",
        )
    progress("writing the index", 0.8)
    layout.uids(assets).parent.mkdir(exist_ok=True)
    join.write(assets)
    features = tuple(path for file in files if (path := file.with_suffix(".npz")).exists())
    facts = []
    for fact in _each(_facts, [*files, *features], threads):
        facts.append(fact)
        progress("hashing the metadata", 0.85 + 0.15 * len(facts) / (len(files) + len(features)))
    manifest = join.manifest(
        tuple(
            MetadataFacts(**fact.model_dump(), rows=rows)
            for fact, rows in zip(facts[: len(files)], table.rows, strict=True)
        ),
        tuple(facts[len(files) :]),
    )
    layout.manifest(assets).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def shard_files(folder: Path) -> tuple[Path, ...]:
    """The shards by name; a shard's number is its place here.

    Raises:
        AssetsInvalid: there is none.
    """
    tars = tuple(sorted(folder.glob("*.tar")))
    if not tars:
        raise AssetsInvalid(
            f"{folder} holds no *.tar",
            hint="It is the folder `shards` that DataComp's download_upstream.py fills; docs/datacomp.md.",
        )
    return tars


class Join:
    """Pairs of shards, by the rank of their uid in the metadata."""

    def __init__(self, table: MetadataUids, shards: int) -> None:
        self._table = table
        self._samples = np.zeros(len(table), SAMPLE)
        self._samples["shard"] = shards  # no such shard: not seen
        self._none = shards
        self._shards: list[ShardFacts] = []
        self.pairs = self.reachable = self._repeated = self._unknown = 0

    def add(self, shard: Shard) -> None:
        """The next shard, in order of names."""
        entries = shard.entries
        ranks = self._table.find(entries["hi"], entries["lo"])
        known = ranks >= 0
        first = np.zeros(len(ranks), bool)
        first[np.unique(ranks, return_index=True)[1]] = True
        new = known & first
        new[new] = self._samples["shard"][ranks[new]] == self._none
        where = ranks[new]
        for name in _COPIED:
            self._samples[name][where] = entries[name][new]
        self._samples["shard"][where] = len(self._shards)
        self.pairs += len(entries)
        self.reachable += len(where)
        self._unknown += int((~known).sum())
        self._repeated += int(known.sum()) - len(where)
        self._shards.append(
            ShardFacts(
                name=shard.name,
                sha256=shard.sha256,
                bytes=shard.bytes,
                pairs=len(entries),
                incomplete=shard.incomplete,
            )
        )

    def write(self, assets: Path) -> None:
        """The arrays, a chunk at a time."""
        rows, lost = self.reachable, len(self._table) - self.reachable
        with (
            _Array(layout.uids(assets), UID, rows) as uids,
            _Array(layout.samples(assets), SAMPLE, rows) as samples,
            _Array(layout.places(assets), PLACE, rows) as places,
            _Array(layout.unreachable(assets), UID, lost) as unreachable,
        ):
            for begin in range(0, len(self._table), _CHUNK):
                part = slice(begin, min(begin + _CHUNK, len(self._table)))
                some = self._samples[part]
                seen = some["shard"] != self._none
                place = np.empty(len(some), PLACE)
                place["file"], place["row"] = self._table.places(part)
                uid = self._table.uids(part)
                uids.write(uid[seen])
                unreachable.write(uid[~seen])
                samples.write(some[seen])
                places.write(place[seen])

    def manifest(self, metadata: tuple[MetadataFacts, ...], features: tuple[FileFacts, ...]) -> PoolManifest:
        uids = len(self._table)
        return PoolManifest(
            metadata_rows=sum(self._table.rows),
            uids=uids,
            reachable=self.reachable,
            reachable_share=round(self.reachable / uids, 6),
            unreachable=uids - self.reachable,
            pairs=self.pairs,
            repeated_pairs=self._repeated,
            unknown_pairs=self._unknown,
            incomplete=sum(shard.incomplete for shard in self._shards),
            shards=tuple(self._shards),
            metadata=metadata,
            features=features,
        )


class _Array:
    """A ``.npy`` file of one dimension that is written in parts."""

    def __init__(self, path: Path, dtype: np.dtype[np.void], length: int) -> None:
        self._path, self._dtype, self._length = path, dtype, length

    def __enter__(self) -> _Array:
        self._file = self._path.open("wb")
        header = {"descr": self._dtype.descr, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self

    def write(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values).tobytes())

    def __exit__(self, *problem: object) -> None:
        self._file.close()


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(name=path.name, sha256=sha256, bytes=path.stat().st_size)


def _each(work: Callable[[Path], ResultT], paths: Sequence[Path], threads: int) -> Iterator[ResultT]:
    """Results in order; only a few more than there are processes are under way, so that none pile up."""
    if threads <= 1:
        yield from map(work, paths)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(threads, len(paths)), mp_context=spawn) as pool:
        waiting: deque[Future[ResultT | tuple[str, str | None]]] = deque()
        for path in paths:
            waiting.append(pool.submit(_told, work, path))
            if len(waiting) > 2 * threads:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _told(work: Callable[[Path], ResultT], path: Path) -> ResultT | tuple[str, str | None]:
    """An error as text: ours do not pass from process to process."""
    try:
        return work(path)
    except AssetsInvalid as error:
        return error.message, error.hint


def _result(done: Future[ResultT | tuple[str, str | None]]) -> ResultT:
    result = done.result()
    if isinstance(result, tuple):
        raise AssetsInvalid(result[0], hint=result[1])
    return result
