"""`python -m curation_plugins.tasks.llava.sources.prepare FOLDER JSON`: makes a fetched task's files.

Reads `FOLDER/downloads/NAME` (and `NAME.json`, the note of the fetch) for each thing that the settings want. A
process of its own, as for `llava-tiny`. Progress goes to standard output, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from curation_plugins.errors import PluginLayerError
from curation_plugins.hub.downloads import Downloads, link
from curation_plugins.hub.own import require_weights
from curation_plugins.making import REFUSED, report
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import audit_files
from curation_plugins.tasks.llava.benchmarks.groups import split_items
from curation_plugins.tasks.llava.benchmarks.load import Asking, load_benchmarks
from curation_plugins.tasks.llava.benchmarks.tsv import TsvFile
from curation_plugins.tasks.llava.items import write_items
from curation_plugins.tasks.llava.sources.convert import convert, refuse_missing
from curation_plugins.tasks.llava.sources.settings import (
    ANNOTATIONS,
    MODEL,
    FetchedSettings,
    benchmark_name,
    images_name,
)


def main(arguments: list[str]) -> None:
    """Arguments: the folder, and `{"settings": …, "benchmarks": […]}`."""
    folder, given = Path(arguments[0]), json.loads(arguments[1])
    settings = FetchedSettings.model_validate(given["settings"])
    try:
        make(folder, settings, given["benchmarks"])
    except PluginLayerError as error:
        sys.stderr.write(json.dumps({"message": error.message, "hint": error.hint}) + "\n")
        sys.exit(REFUSED)


def make(folder: Path, settings: FetchedSettings, benchmarks: list[str]) -> None:
    """Writes pool, base model and benchmark items below `folder`.

    Raises:
        AssetsInvalid: something that was fetched cannot be used.
    """
    downloads = Downloads(folder / "downloads")
    entry = settings.pool_entry()
    missing = convert(
        entry,
        downloads.only_file(ANNOTATIONS),
        {prefix: downloads.content(images_name(prefix)) for prefix in entry.images},
        layout.pool(folder),
        lambda what, done: report(what, 0.5 * done),
    )
    if settings.missing_images == "refuse":
        refuse_missing(missing, entry)
    _link_model(downloads.content(MODEL), downloads.note(MODEL).files, layout.base_model(folder))
    files = {name: _benchmark(downloads, name, settings) for name in benchmarks}
    layout.benchmarks(folder).mkdir()
    items = load_benchmarks(
        files,
        layout.benchmarks(folder),
        Asking(style=settings.prompts, max_tokens=settings.answer_tokens),
        lambda what, done: report(what, 0.5 + 0.1 * done),
    )
    for where, half in split_items(items, settings.salt).items():
        write_items(layout.benchmarks(folder), where, half)
    audit_files(
        folder,
        lambda what, done: report(what, 0.6 + 0.39 * done),
        keep_unreadable=settings.missing_images == "exclude",
        also_excluded=missing.rows,
        threads=len(os.sched_getaffinity(0)),
    )
    downloads.write_sources(folder / "sources.json")
    report("files are complete", 1.0)


def _benchmark(downloads: Downloads, name: str, settings: FetchedSettings) -> TsvFile:
    """Held against the published hash, or else against the one recorded when it came."""
    want = benchmark_name(name)
    source, (path, known) = settings.benchmark_source(name), *downloads.note(want).files.items()
    digest = f"md5:{source.md5}" if source.md5 and not source.sha256 else f"sha256:{source.sha256 or known.sha256}"
    return TsvFile(path=downloads.content(want) / path, digest=digest)


def _link_model(content: Path, files: Iterable[str], target: Path) -> None:
    """The model stays on the host.

    Raises:
        AssetsInvalid: one of its files is gone, or what is there is no whole model.
    """
    require_weights(content, frozenset(files), MODEL)
    for name in files:
        link(content / name, target / name)


if __name__ == "__main__":
    main(sys.argv[1:])
