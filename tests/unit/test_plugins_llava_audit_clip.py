"""The command that compares pictures by CLIP, on a small model of the true class."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit import embeddings
from curation_plugins.tasks.llava.audit.findings import Finding
from curation_plugins.tasks.llava.clip import Clip
from curation_plugins.tasks.llava.items import write_items
from made_leaks import World
from small_clip import tiny_clip


def test_a_copied_picture_is_the_nearest_by_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "assets")
    world.add_items(6)
    world.add_honest(5)
    write_items(world.benchmarks, "public", world.items[:3])
    write_items(world.benchmarks, "sealed", world.items[3:])
    copied = world.items[4].images[0]
    shutil.copy(world.benchmarks / copied, world.pool / str(world.rows[2].image))
    lines = "".join(row.model_dump_json(by_alias=True) + "\n" for row in world.rows)
    layout.rows_file(world.folder).write_text(lines, encoding="utf-8")
    model = tiny_clip(tmp_path / "clip")
    signals = layout.pool(world.folder) / "signals"
    signals.mkdir()
    np.save(signals / "clip_embeddings.npy", np.array(Clip(model).vectors(world.rows, world.pool), dtype=np.float16))

    embeddings.main([str(world.folder), str(model), str(tmp_path / "out.jsonl")])
    found = [Finding.model_validate_json(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    (copy,) = (finding for finding in found if finding.row == 2)
    assert (copy.item_says, copy.score) == (copied, pytest.approx(1, abs=1e-3))
    assert f"{len(found)} row(s)" in capsys.readouterr().out

    (signals / "clip_embeddings.npy").unlink()
    with pytest.raises(SystemExit, match="harness signals"):
        embeddings.main([str(world.folder), str(model), str(tmp_path / "out.jsonl")])
