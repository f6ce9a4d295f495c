"""`python -m curation_plugins.tasks.datacomp.sources.prepare FOLDER JSON`: makes a fetched task's files.

Reads `FOLDER/downloads/NAME` (and `NAME.json`, the note of the fetch) for each thing that the settings want, and the
folders of the user's. A process of its own. Progress goes to standard output, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from curation_plugins.errors import AssetsInvalid, PluginLayerError
from curation_plugins.hub.downloads import Downloads, hard_link, link
from curation_plugins.making import REFUSED, report
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.audit.pool import audit_pool
from curation_plugins.tasks.datacomp.evaluation import files as evaluation_files
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.index_making import build_index, shard_files
from curation_plugins.tasks.datacomp.sources.settings import FEATURES, METADATA, FetchedSettings, set_name

ONE_PROCESS = 2**30
"""Bytes of shards up to which starting more processes costs more than it saves."""


def main(arguments: list[str]) -> None:
    """Arguments: the folder, and `{"settings": …, "benchmarks": […]}`."""
    folder, given = Path(arguments[0]), json.loads(arguments[1])
    settings = FetchedSettings.model_validate(given["settings"])
    try:
        make(folder, settings, given["benchmarks"])
    except PluginLayerError as error:
        sys.stderr.write(json.dumps({"message": error.message, "hint": error.hint}) + "\n")
        sys.exit(REFUSED)


def make(folder: Path, settings: FetchedSettings, benchmarks: Sequence[str]) -> None:
    """Links the pool and the evaluation sets below `folder`, and makes index, manifest and audit.

    What is cheap comes first: hours of hashing should not end at a missing file.

    Raises:
        AssetsInvalid: something that was fetched, or is the user's, cannot be used.
    """
    downloads = Downloads(folder / "downloads")
    _link_metadata(downloads, settings, layout.metadata(folder))
    for key in benchmarks:
        _link_set(downloads, settings, key, layout.evaluation(folder))
    evaluation_files.require(layout.evaluation(folder), benchmarks)
    size = _link_shards(settings, folder)
    threads = len(os.sched_getaffinity(0)) if size > ONE_PROCESS else 1
    build_index(folder, lambda what, done: report(what, 0.9 * done), threads)
    audit_pool(folder, lambda what, done: report(what, 0.9 + 0.1 * done), threads=threads)
    downloads.write_sources(folder / "sources.json")
    report("files are complete", 1.0)


def _link_metadata(downloads: Downloads, settings: FetchedSettings, target: Path) -> None:
    target.mkdir(parents=True)
    with_features = settings.features and settings.pool_entry().features is not None
    for name in (METADATA, FEATURES) if with_features else (METADATA,):
        for path, file in downloads.files(name).items():
            there = target / PurePosixPath(path).name
            if there.exists():
                raise AssetsInvalid(f"the {name} hold two files called {there.name}", hint="Name another folder.")
            hard_link(file, there)


def _link_set(downloads: Downloads, settings: FetchedSettings, key: str, target: Path) -> None:
    """One evaluation set, from the user's folder or from the fetched ones."""
    own = settings.own_set(key)
    if own is not None:
        files = {path.relative_to(own).as_posix(): path for path in sorted(own.rglob("*")) if path.is_file()}
    elif look_up(key).repo is not None:
        files = downloads.files(set_name(key))
    else:
        return  # named with all others that are missing
    for path, file in files.items():
        link(file, target / look_up(key).folder / path)


def _link_shards(settings: FetchedSettings, folder: Path) -> int:
    """One link to the user's folder; or into the pool, shard by shard, where the agent is to see them. Their bytes.

    Raises:
        AssetsInvalid: no folder, or no shards in it.
    """
    if settings.shards is None:
        raise AssetsInvalid("there are no shards", hint=settings.lacking(())[0])
    shards = shard_files(settings.shards)
    if settings.show_images:
        shown = layout.pool(folder) / "shards"
        shown.mkdir()
        for shard in shards:
            hard_link(shard, shown / shard.name)
        layout.shards(folder).symlink_to(shown.relative_to(folder))
    else:
        layout.shards(folder).symlink_to(settings.shards)
    return sum(shard.stat().st_size for shard in shards)


if __name__ == "__main__":
    main(sys.argv[1:])
