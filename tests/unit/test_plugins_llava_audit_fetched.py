"""A fetched task's pool is audited while its files are made: a leak is out of everybody's reach from then on."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import fetched_task as made
from curation_plugins import assets as task_assets
from curation_plugins.config import SubmissionRules
from curation_plugins.errors import AssetsInvalid, SubmissionRefused
from curation_plugins.selection import parse
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.findings import read_findings
from curation_plugins.tasks.llava.rows import content_hash_of_record, read_rows
from fetched_task import RECORDS, fetch_all, fetched_task, put_on, zipped
from hub_bench import Hub, serving
from made_benchmarks import png
from made_leaks import picture

LEAKING = 3
"""Record whose picture a benchmark shows, too."""


def jpeg(size: tuple[int, int], quality: int) -> bytes:
    out = io.BytesIO()
    picture(11, 200, 150).resize(size).save(out, "JPEG", quality=quality)
    return out.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    items = [dict(row) for row in made.MMSTAR]
    items[5]["image"] = base64.b64encode(jpeg((200, 150), 95)).decode()
    monkeypatch.setattr(made, "MMSTAR", items)
    with serving() as server:
        put_on(server, tmp_path)
        server.files["vg.zip"] = zipped({"VG_100K/2.jpg": jpeg((330, 240), 60)})
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def silent(what: str, done: float) -> None:
    return


def test_a_leak_in_the_pool_is_excluded_for_everybody(hub: Hub, tmp_path: Path) -> None:
    task, cache = fetched_task(hub), tmp_path / "cache"
    fetch_all(task, cache)
    assets = task_assets.ensure(cache, task, silent)
    (finding,) = read_findings(layout.audit(assets))
    assert (finding.row, finding.rule, finding.benchmark, finding.item) == (LEAKING, "image", "MMStar", "5")
    assert finding.row_says == "images/vg/VG_100K/2.jpg"
    assert task.excluded(assets) == {LEAKING}
    counts = task.audited(assets)
    assert counts is not None
    assert (counts.rows, counts.items, counts.excluded, counts.by_rule) == (len(RECORDS), 24, 1, {"image": 1})

    rows = list(read_rows(layout.rows_file(assets)))
    assert [row.content_hash() for row in rows] == [content_hash_of_record(record) for record in RECORDS]
    assert not (layout.pool(assets) / "images/vg/VG_100K/2.jpg").exists()
    assert json.loads(layout.excluded_file(assets).read_text()) == [LEAKING]

    chosen = tmp_path / "rows.txt"
    chosen.write_text(f"0\n{LEAKING}\n")
    with pytest.raises(SubmissionRefused) as refused:
        parse(chosen, SubmissionRules(rows_max=4), len(RECORDS), task.excluded(assets))
    assert [(one.code, one.row) for one in refused.value.problems] == [("excluded-row", 2)]
    for name in ("random", "source-balanced", "full"):
        picked = task.reference_rows(name, 0, assets)
        assert picked is not None
        assert len(picked)
        assert LEAKING not in picked


def test_a_truncated_image_is_refused_before_anything_is_made(hub: Hub, tmp_path: Path) -> None:
    hub.files["vg.zip"] = zipped({"VG_100K/2.jpg": jpeg((330, 240), 60)[:900]})
    cache = tmp_path / "cache"
    strict, lenient = fetched_task(hub), fetched_task(hub, missing_images="exclude")
    fetch_all(strict, cache)
    with pytest.raises(
        AssetsInvalid, match=rf"1 row\(s\) cannot be read: row {LEAKING} \(images/vg/VG_100K/2\.jpg\)"
    ):
        task_assets.ensure(cache, strict, silent)
    assert not task_assets.folder(cache, strict).exists()
    assets = task_assets.ensure(cache, lenient, silent)
    assert lenient.excluded(assets) == {LEAKING}
    counts = lenient.audited(assets)
    assert counts is not None
    assert (counts.unreadable, counts.excluded) == (1, 0)


def test_an_honest_pool_loses_no_row(hub: Hub, tmp_path: Path) -> None:
    hub.files["vg.zip"] = zipped({"VG_100K/2.jpg": png(3)})
    task, cache = fetched_task(hub), tmp_path / "cache"
    fetch_all(task, cache)
    assets = task_assets.ensure(cache, task, silent)
    assert task.excluded(assets) == frozenset()
    assert list(read_findings(layout.audit(assets))) == []
