"""`assets` of a task whose pool comes from elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, TypeAdapter

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid
from curation_plugins.hub.wanted import Source, Want
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_sandbox.spec import format_size

METADATA = "metadata"
FEATURES = "features"


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("must be a whole path (from / on): a run may be resumed from another folder")
    return path


OwnFolder = Annotated[Path, AfterValidator(_absolute)]


class PoolEntry(Frozen):
    """A pool in DataComp's layout."""

    title: str
    """Its name, for a reader."""
    scale: str
    """What DataComp's download_upstream.py calls it."""
    rows: int = Field(gt=0)
    """About how many uids its metadata has; for estimates."""
    metadata: Source
    """The parquet files."""
    features: Source | None = None
    """The `.npz` files beside them; none: there are none."""
    shard_bytes: int = Field(gt=0)
    """About what its shards take."""


class FetchedSettings(Frozen):
    """A pool from elsewhere: `harness fetch` brings metadata, features and evaluation sets; images come from a folder
    that DataComp's own tools filled."""

    kind: Literal["fetched"]
    """Told apart from `made` by this."""
    pool: str | PoolEntry
    """Name of a pool we know, or one described here."""
    shards: OwnFolder | None = None
    """Folder with the tars that DataComp's download_upstream.py made. Nothing in it is changed; it must stay."""
    evaluation: OwnFolder | None = None
    """Folder with evaluation sets (`wds_…_test`, as DataComp's download_evalsets.py names them). What is in it is not
    fetched."""
    features: bool = True
    """Whether the pool has the CLIP features, too."""
    show_images: bool = False
    """Whether the agent sees the shards, at `/pool/shards`. They must then lie on the cache's disk."""

    def pool_entry(self) -> PoolEntry:
        return _known_pool(self.pool) if isinstance(self.pool, str) else self.pool

    def wants(self, benchmarks: Iterable[str]) -> tuple[Want, ...]:
        """All that must be fetched: metadata, features, evaluation sets.

        Raises:
            ConfigInvalid: a name that nothing is known of.
        """
        pool, features = self.pool_entry(), self.pool_entry().features
        out = [Want(name=METADATA, what=f"metadata of {pool.title}", source=pool.metadata)]
        if self.features and features is not None:
            out.append(Want(name=FEATURES, what=f"CLIP features of {pool.title}", source=features))
        for key in benchmarks:
            source = look_up(key).source()
            if source is not None and self.own_set(key) is None:
                out.append(Want(name=set_name(key), what=f"evaluation set {key}", source=source))
        return tuple(out)

    def own_set(self, key: str) -> Path | None:
        """The user's copy of an evaluation set; none if there is none."""
        folder = self.evaluation / look_up(key).folder if self.evaluation else None
        return folder if folder is not None and folder.is_dir() else None

    def lacking(self, benchmarks: Iterable[str]) -> tuple[str, ...]:
        """What no fetch brings, and is not there: a line each, with what to do."""
        pool, out = self.pool_entry(), []
        if self.shards is None or not any(self.shards.glob("*.tar")):
            there = f"; {self.shards} holds no *.tar" if self.shards else ""
            out.append(
                f"images and captions of {pool.title} (about {format_size(pool.shard_bytes)}, from addresses all over"
                f" the web{there}): DataComp's own tools bring them: python download_upstream.py --scale {pool.scale}"
                " --data_dir FOLDER; then --set assets.shards=FOLDER/shards"
            )
        for key in benchmarks:
            known = look_up(key)
            if known.repo is None and self.own_set(key) is None:
                out.append(
                    f"evaluation set {key} (size not known), of which the hub has no copy in the layout read here:"
                    " docs/datacomp-evaluation.md says how one is made; then --set assets.evaluation=FOLDER, with"
                    f" {known.folder} in it. Or leave it out: --set benchmarks=[…]"
                )
        return tuple(out)


def set_name(key: str) -> str:
    """Name of the want with an evaluation set."""
    return "evaluation-" + key.replace("/", "-")


@cache
def pools() -> Mapping[str, PoolEntry]:
    """Pools by name."""
    text = Path(__file__).with_name("pools.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, PoolEntry]).validate_python(yaml.safe_load(text))


def _known_pool(name: str) -> PoolEntry:
    known = pools()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigInvalid(f"no pool is called {name!r}{meant}", hint=f"There are: {', '.join(known)}.")
