"""The baseline's methods on datacomp-tiny, against its planted truth; nothing is trained here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation_plugins import assets as task_assets
from curation_plugins.agents.programs.baseline.plan import FIRST_OF_PAIRS, budget, methods_for
from curation_plugins.agents.programs.baseline.selection.method import Rows
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import run
from curation_plugins.registry import Registry
from curation_plugins.tasks.datacomp import layout

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def assets(registry: Registry, cache: Path) -> Path:
    return task_assets.ensure(cache, registry.tasks.get("datacomp-tiny"), lambda what, done: None)


@pytest.fixture(scope="module")
def selected(registry: Registry, assets: Path) -> dict[str, Rows]:
    pool, most = Pool(layout.pool(assets)), registry.tasks.get("datacomp-tiny").config.submission.rows_max
    usable = [method for method in methods_for(True) if all(pool.has(need) for need in method.needs)]
    return {m.name: run(m, pool, budget(m, True, pool.size, most), 0, m.settings[0]) for m in usable}


def test_the_first_eight_have_what_they_need_and_hand_in_enough(
    registry: Registry, selected: dict[str, Rows]
) -> None:
    least = registry.tasks.get("datacomp-tiny").config.submission.samples_min
    first = [selected[name] for name in FIRST_OF_PAIRS[:8]]
    assert all(len(rows) >= least for rows in first)
    assert len({rows.tobytes() for rows in first}) == 8


def test_rows_are_those_of_the_host(assets: Path) -> None:
    assert np.array_equal(Pool(layout.pool(assets)).pairs.uids, np.load(layout.uids(assets)))


def test_better_filters_find_more_of_the_aligned_pairs(assets: Path, selected: dict[str, Rows]) -> None:
    truth = np.load(layout.truth(assets))
    share = {name: float(truth[rows].mean()) for name, rows in selected.items()}
    assert share["no-filter"] < share["english"] < share["clip-b32"] < share["clip-l14"] < share["intersection"], (
        share
    )
    assert abs(share["random"] - share["no-filter"]) < 0.05
    assert share["english"] < share["basic"]
