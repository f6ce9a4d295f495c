"""From downloads to a task's files: rows in their published order, linked images, items of both halves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curation_plugins import assets as task_assets
from curation_plugins.errors import AssetsInvalid, AssetsMissing, ConfigInvalid, DownloadDamaged
from curation_plugins.hub.archives import unpack
from curation_plugins.hub.store import Store
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.rows import content_hash_of_record, read_rows
from curation_plugins.tasks.llava.sources.convert import convert
from curation_plugins.tasks.llava.sources.json_stream import BLOCK, elements
from curation_plugins.tasks.llava.sources.registry import PoolEntry
from fetched_task import RECORDS, fetch_all, fetched_task, put_on, zipped
from hub_bench import Hub, serving
from made_benchmarks import png


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving() as server:
        put_on(server, tmp_path)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def silent(what: str, done: float) -> None:
    return


# -- the whole way -------------------------------------------------------------------------------------------------


def test_a_fetched_task_is_made_of_its_downloads(hub: Hub, tmp_path: Path) -> None:
    task, cache = fetched_task(hub), tmp_path / "cache"
    with pytest.raises(AssetsMissing) as missing:
        task_assets.require_downloads(cache, task)
    for name in (
        "rows of Made pool",
        "images coco/train2017",
        "images vg/VG_100K",
        "owner/model",
        "benchmark MMStar",
    ):
        assert name in missing.value.message
    assert "harness fetch llava" in (missing.value.hint or "")

    fetch_all(task, cache)
    made = task_assets.ensure(cache, task, silent)

    rows = list(read_rows(layout.rows_file(made)))
    assert [row.id for row in rows] == ["000000033471", "wgByO4Y_0", "000000033471", "17"]
    assert [row.source for row in rows] == ["coco", "text", "coco", "vg"]
    assert [row.content_hash() for row in rows] == [content_hash_of_record(record) for record in RECORDS]
    assert len({row.content_hash() for row in rows}) == len(rows)
    assert task.pool_rows(made) == len(RECORDS)
    card = task.row_card(0, made)
    assert card is not None
    assert card.image == png(1)

    image = layout.pool(made) / "images/coco/train2017/000000033471.jpg"
    assert not image.is_symlink()
    assert image.stat().st_nlink == 2
    assert not (layout.pool(made) / "images/coco/train2017/unused.jpg").exists()
    assert (layout.base_model(made) / "model.safetensors").read_bytes() == b"w" * 5000
    halves = [(layout.benchmarks(made) / f"{half}.jsonl").read_text().splitlines() for half in ("public", "sealed")]
    assert sum(map(len, halves)) == 24
    assert all(halves)
    assert not layout.excluded_file(made).exists()
    assert task.excluded(made) == frozenset()
    told = json.loads((made / "sources.json").read_text())
    assert told["model"]["files"]["model.safetensors"]["size"] == 5000
    assert not (made / "downloads").exists()

    hub.asked.clear()
    assert task_assets.ensure(cache, task, silent) == made
    assert hub.asked == []


def test_a_changed_pool_is_noticed(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the files are too large to be hashed each time: by size and time, then by hash."""
    monkeypatch.setattr(task_assets, "HASHED_ALWAYS", 0)
    task, cache = fetched_task(hub), tmp_path / "cache"
    fetch_all(task, cache)
    made = task_assets.ensure(cache, task, silent)
    image = layout.pool(made) / "images/vg/VG_100K/2.jpg"
    image.touch()
    task_assets.ensure(cache, task, silent)
    data = image.read_bytes()
    image.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(AssetsInvalid, match=r"2\.jpg"):
        task_assets.ensure(cache, task, silent)


def test_a_benchmark_file_with_a_changed_answer_is_refused(hub: Hub, tmp_path: Path) -> None:
    task, cache = fetched_task(hub), tmp_path / "cache"
    fetch_all(task, cache)
    (table,) = (cache / "downloads").rglob("MMStar.tsv")
    table.write_text(table.read_text().replace("\tA\tc", "\tB\tc", 1))
    with pytest.raises(AssetsInvalid, match=r"MMStar\.tsv is not the expected one"):
        task_assets.ensure(cache, task, silent)
    assert not task_assets.folder(cache, task).exists()


def test_missing_images_are_named_or_their_rows_excluded(hub: Hub, tmp_path: Path) -> None:
    hub.files["vg.zip"] = zipped({"VG_100K/other.jpg": png(3)})
    cache = tmp_path / "cache"
    strict, lenient = fetched_task(hub), fetched_task(hub, missing_images="exclude")
    fetch_all(strict, cache)
    with pytest.raises(AssetsInvalid, match=r"1 row\(s\) of Made pool.*row 3: vg/VG_100K/2\.jpg"):
        task_assets.ensure(cache, strict, silent)
    made = task_assets.ensure(cache, lenient, silent)
    assert json.loads(layout.excluded_file(made).read_text()) == [3]
    assert lenient.excluded(made) == {3}
    assert lenient.pool_rows(made) == len(RECORDS)


def test_a_model_in_the_hub_s_own_cache_is_linked_by_its_files(hub: Hub, tmp_path: Path) -> None:
    """There a model's files are relative links to `blobs`, which lead nowhere from another folder."""
    blobs, own = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "0123"
    for folder in (blobs, own):
        folder.mkdir(parents=True)
    for name, data in {**hub.models["owner/model"], "pytorch_model.bin": b"not wanted"}.items():
        (blobs / f"of-{name}").write_bytes(data)
        (own / name).symlink_to(f"../../blobs/of-{name}")
    task, cache = fetched_task(hub), tmp_path / "cache"
    (want,) = (want for want in task.downloads() if want.name == "model")
    Store(cache).adopt(want, own)
    fetch_all(task, cache)
    base = layout.base_model(task_assets.ensure(cache, task, silent))
    assert {path.name: path.read_bytes() for path in base.iterdir()} == hub.models["owner/model"]
    assert not any(path.is_symlink() for path in base.iterdir())


def test_a_folder_that_is_no_whole_model_is_refused(hub: Hub, tmp_path: Path) -> None:
    task, cache, own = fetched_task(hub), tmp_path / "cache", tmp_path / "own"
    own.mkdir()
    (want,) = (want for want in task.downloads() if want.name == "model")
    parts = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    steps: list[tuple[str, bytes, str]] = [
        ("config.json", b"{}", r"no model\.safetensors"),
        ("model.safetensors.index.json", b"[]", "does not list the model's files"),
        ("model.safetensors.index.json", json.dumps({"weight_map": parts}).encode(), "no model-1-of-2"),
        ("model-1-of-2.safetensors", b"w", "no model-2-of-2"),
    ]
    for name, data, says in steps:
        (own / name).write_bytes(data)
        with pytest.raises(AssetsInvalid, match=says):
            Store(cache).adopt(want, own)
        assert Store(cache).fetched(want) is None
    (own / "model-2-of-2.safetensors").write_bytes(b"w")
    Store(cache).adopt(want, own)
    fetch_all(task, cache)
    (own / "model-1-of-2.safetensors").unlink()
    with pytest.raises(AssetsInvalid, match=r"model-1-of-2\.safetensors is gone"):
        task_assets.ensure(cache, task, silent)


def test_a_repository_without_weights_that_can_be_read_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.models["owner/model"]["model.safetensors"]
    task = fetched_task(hub)
    fetch_all(task, tmp_path)
    with pytest.raises(AssetsInvalid, match=r"no model\.safetensors"):
        task_assets.ensure(tmp_path, task, silent)


def test_a_broken_archive_is_named(hub: Hub, tmp_path: Path) -> None:
    whole = hub.files["vg.zip"]
    for damaged in (b"no archive at all", whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        hub.files["vg.zip"] = damaged
        with pytest.raises(DownloadDamaged, match=r"vg\.zip cannot be unpacked"):
            fetch_all(fetched_task(hub), tmp_path / str(len(damaged)))
    hub.files["vg.zip"] = zipped({"../escaped.jpg": b"x"})
    with pytest.raises(DownloadDamaged, match="would land elsewhere"):
        fetch_all(fetched_task(hub), tmp_path / "escape")
    assert not list(tmp_path.rglob("escaped.jpg"))


def test_names_that_are_not_ascii_are_found_however_the_archive_has_them(tmp_path: Path) -> None:
    described = {"title": "P", "annotations": {"kind": "url", "url": "http://x/y"}}
    images = {"": {"source": {"kind": "url", "url": "http://x/y.zip"}}}
    entry = PoolEntry.model_validate({**described, "images": images})
    marked = bytearray(zipped({"ä-金.jpg": png(1), "b-#U91d1.jpg": png(2)}))
    for flags in (6, marked.index(b"PK\x01\x02") + 8):  # of the first member: its own header, and the directory's
        assert marked[flags + 1] == 8
        marked[flags + 1] = 0
    (tmp_path / "a.zip").write_bytes(marked)
    unpack(tmp_path / "a.zip", tmp_path / "a", lambda done: None)
    records = [{**RECORDS[0], "image": name} for name in ("ä-金.jpg", "b-金.jpg")]
    (tmp_path / "mix.json").write_text(json.dumps(records))
    missing = convert(entry, tmp_path / "mix.json", {"": tmp_path / "a"}, tmp_path / "pool", silent)
    assert missing.rows == []
    assert (tmp_path / "pool/images/b-金.jpg").read_bytes() == png(2)


def test_an_archive_goes_away_once_it_is_unpacked(hub: Hub, tmp_path: Path) -> None:
    task = fetched_task(hub)
    fetch_all(task, tmp_path)
    assert not list(tmp_path.rglob("*.zip"))
    want = next(want for want in task.downloads() if want.unpack)
    known = Store(tmp_path).fetched(want)
    assert known is not None
    assert known.unpacked == 2
    assert known.files["train2017.zip"].size == len(hub.files["train2017.zip"])


# -- the list ------------------------------------------------------------------------------------------------------


def pool_of(records: str, tmp_path: Path, **entry: Any) -> Path:
    (tmp_path / "mix.json").write_text(records, encoding="utf-8")
    described = {"title": "P", "annotations": {"kind": "url", "url": "http://x/y"}, "images": {}, **entry}
    convert(PoolEntry.model_validate(described), tmp_path / "mix.json", {}, tmp_path / "pool", silent)
    return tmp_path / "pool"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:-40], "breaks off|Unterminated|Expecting"),
        (lambda text: text.replace('"gpt"', '"robot"', 1), "record 0: conversations.1.from"),
        (lambda text: text.replace("coco/train", "../../etc", 1), "is no path below"),
        (lambda text: text.replace("coco/train", "\\u0000", 1), "is no path below"),
        (lambda text: text.replace("coco/train", "a" * 300, 1), "is no path below"),
        (lambda text: text.replace("coco/train", "a/" * 3000, 1), "is no path below"),
        (lambda text: text.replace("Where?", "\\ud800"), "record 3: .*surrogates"),
        (lambda text: text.replace(": 17,", ": " + "9" * 6000 + ","), "element 3: .*digits"),
        (lambda text: text.replace(": 17,", ": " + "[" * 100_000 + "]" * 100_000 + ","), "element 3: .*recursion"),
        (lambda text: text + "]", "something stands behind"),
        (lambda text: text[1:-1], "a list was expected"),
        (lambda text: text.replace('}, {"id": "wgB', '} {"id": "wgB', 1), "after element 0 a comma was expected"),
        (lambda text: text[:-1], "it breaks off: after element 3"),
        (lambda text: "[]", "holds 0 records, and P has 4"),
    ],
)
def test_a_list_that_is_not_one_is_refused_with_the_record(
    change: Callable[[str], str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(AssetsInvalid, match=says):
        pool_of(change(json.dumps(RECORDS)), tmp_path, rows=4)


def test_records_may_name_their_source(tmp_path: Path) -> None:
    """As VisionFLAN's do, whose image paths have no folder."""
    records = [{**RECORDS[1], "task_name": "A-OKVQA"}]
    rows = list(read_rows(pool_of(json.dumps(records), tmp_path, source_field="task_name") / "rows.jsonl"))
    assert [row.source for row in rows] == ["A-OKVQA"]


def test_elements_that_straddle_blocks_come_whole(tmp_path: Path) -> None:
    wanted = [{"n": n, "text": "ü" * (BLOCK // 3) + "“]}," + "\\"} for n in range(9)]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(wanted, ensure_ascii=False, indent=2), encoding="utf-8")
    assert list(elements(path)) == wanted


PEAK = """
import resource, sys
from pathlib import Path
from curation_plugins.tasks.llava.sources.convert import convert
from curation_plugins.tasks.llava.sources.registry import PoolEntry
rows, file, pool = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
entry = {"title": "P", "rows": rows, "annotations": {"kind": "url", "url": "http://x/y"}, "images": {}}
convert(PoolEntry.model_validate(entry), file, {}, pool, lambda what, done: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak_bytes(rows: int, tmp_path: Path) -> tuple[int, int]:
    """Of a process that converts so many records; and the size of their file."""
    path = tmp_path / f"{rows}.json"
    turns = [{"from": "human", "value": "?" * 150}, {"from": "gpt", "value": "!" * 150}]
    with path.open("w") as out:
        out.write("[" + json.dumps({"id": "0", "conversations": turns}))
        out.writelines("," + json.dumps({"id": str(n), "conversations": turns}) for n in range(1, rows))
        out.write("]")
    command = [sys.executable, "-c", PEAK, str(rows), str(path), str(tmp_path / f"pool-{rows}")]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout), path.stat().st_size


def test_two_hundred_thousand_rows_take_no_more_memory_than_two_thousand(tmp_path: Path) -> None:
    few, _ = peak_bytes(2_000, tmp_path)
    many, size = peak_bytes(200_000, tmp_path)
    assert many - few < size / 8


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assets", "says"),
    [
        ({"model": "llava-1.5-7b-int"}, "did you mean 'llava-1.5-7b-init'"),
        ({"pool": "llava"}, "no pool is called 'llava'"),
        ({"kind": "stolen"}, "assets"),
        ({"salty": 1}, "assets.salty"),
    ],
)
def test_wrong_settings_are_named(hub: Hub, assets: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        fetched_task(hub, **assets)
