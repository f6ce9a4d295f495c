"""`python -m curation_plugins.tasks.datacomp.tiny.prepare FOLDER JSON`: makes all files of `datacomp-tiny`.

A process of its own, so that the harness never imports torch and the thread count is the recipe's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from curation_plugins.making import level_times, report
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.audit.pool import audit_pool
from curation_plugins.tasks.datacomp.index_making import build_index
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.tiny.model import write_model
from curation_plugins.tasks.datacomp.tiny.pool import Pair, make_pairs
from curation_plugins.tasks.datacomp.tiny.scoring import Floats, scored, thumbnails
from curation_plugins.tasks.datacomp.tiny.set_files import write_sets
from curation_plugins.tasks.datacomp.tiny.settings import TinySettings
from curation_plugins.tasks.datacomp.tiny.shards import write_metadata, write_shards


def main(arguments: list[str]) -> None:
    """Arguments: the folder, and the settings (`assets` of the task's configuration) as a JSON object."""
    make(Path(arguments[0]), TinySettings.model_validate_json(arguments[1]))


def make(folder: Path, settings: TinySettings) -> None:
    """Everything into an empty folder."""
    report("drawing the pool", 0.0)
    pairs = make_pairs(settings.rows + settings.dead, settings.seed)
    rng = np.random.default_rng([settings.seed, 121])
    dead = frozenset(rng.choice(len(pairs), settings.dead, replace=False).tolist())
    pool_shards = layout.pool(folder) / "shards"
    write_shards(pool_shards, pairs, dead, settings.shard)
    layout.shards(folder).symlink_to(pool_shards.relative_to(folder))
    write_model(layout.model(folder))
    write_metadata(layout.metadata(folder), pairs, _features(pairs, settings), settings.files)
    report("indexing the shards", 0.9)
    build_index(folder, lambda what, done: None)
    _write_truth(folder, pairs)
    report("drawing the evaluation sets", 0.92)
    write_sets(layout.evaluation(folder), settings.items, settings.seed)
    audit_pool(folder, lambda what, done: report(what, 0.95 + 0.04 * done))
    level_times(layout.pool(folder))
    report("assets are complete", 1.0)


def _features(pairs: list[Pair], settings: TinySettings) -> dict[str, Floats]:
    """The metadata's features, by their names."""
    found = {"dedup": thumbnails(pairs)}
    for number, (name, scorer, begin) in enumerate((("b32", settings.b32, 0.2), ("l14", settings.l14, 0.4))):

        def told(what: str, done: float, name: str = name, begin: float = begin) -> None:
            report(f"scoring model {name}: {what}", begin + (0.2 if name == "b32" else 0.5) * done)

        found[f"{name}_img"], found[f"{name}_txt"] = scored(pairs, scorer, number, settings.seed, told)
    return found


def _write_truth(folder: Path, pairs: list[Pair]) -> None:
    """`truth.npy`, and the kind of every row beside it: by row, that is by uid."""
    with PoolIndex(folder) as pool:
        uids = [f"{high:016x}{low:016x}" for high, low in pool.uids.tolist()]
    kinds = {pair.uid: pair.kind for pair in pairs}
    by_row = np.array([kinds[uid] for uid in uids])
    np.save(layout.truth(folder), by_row == "good")
    np.save(layout.kinds(folder), by_row)


if __name__ == "__main__":
    main(sys.argv[1:])
