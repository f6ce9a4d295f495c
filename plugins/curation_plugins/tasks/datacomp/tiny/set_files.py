"""Writes the zero-shot sets in the layout of the hub's `wds_*_test`."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.tiny.sets import CLASSIFIED, RETRIEVAL, Item, classified_items, retrieval_items
from curation_plugins.tasks.datacomp.tiny.shards import add_sample


def write_sets(folder: Path, items: int, seed: int) -> None:
    """Every set, with `items` images each."""
    for entry in CLASSIFIED:
        place = _write(folder, entry.key, classified_items(entry, items, seed))
        (place / "classnames.txt").write_text("\n".join(entry.classes) + "\n", encoding="utf-8")
        templates = "\n".join(entry.templates) + "\n"
        (place / "zeroshot_classification_templates.txt").write_text(templates, encoding="utf-8")
    _write(folder, RETRIEVAL, retrieval_items(items, seed))


def _write(folder: Path, key: str, items: Sequence[Item]) -> Path:
    place = folder / look_up(key).folder
    (place / "test").mkdir(parents=True)
    (place / "test" / "nshards.txt").write_text("1\n")
    with tarfile.open(place / "test" / "0.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, item in enumerate(items):
            told = {"txt": "\n".join(item.texts).encode()} if item.texts else {"cls": str(item.label).encode()}
            add_sample(tar, f"s{number:07d}", {"jpg": item.image, **told})
    return place
