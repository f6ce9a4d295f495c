"""The audit of a pool of pairs: copies of evaluation pictures are found and counted, nothing leaves the pool."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation_harness.report import wording
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.audit import known, pool
from curation_plugins.tasks.datacomp.audit.descriptors import COSINE, copies
from curation_plugins.tasks.datacomp.audit.findings import FLAGGED, Finding, read_counts, read_findings
from curation_plugins.tasks.datacomp.audit.pool import audit_pool
from curation_plugins.tasks.datacomp.index_making import build_index
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from datacomp_sets import set_of, write_set
from downloaded_pool import Download, as_assets, sample, uid, write_metadata, write_shard

PAIRS = 30
DIGITS, LETTERS = set_of("tiny/digits"), set_of("tiny/letters")


def silent(what: str, done: float) -> None:
    return


def scene(seed: int, side: int = 160) -> Image.Image:
    """Coloured boxes on a ground: no two seeds look alike."""
    rng = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), rng.integers(40, 200, 3), dtype=np.uint8)
    for _ in range(12):
        top, left = rng.integers(0, side - side // 4, 2)
        height, width = rng.integers(side // 8, side // 2, 2)
        pixels[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=quality)
    return out.getvalue()


@dataclass
class World:
    """A pool and two evaluation sets: pairs 3 and 17 are copies of digits 1 and 4, pair 20 of letter 0."""

    assets: Path

    def row(self, number: int) -> int:
        return sorted(uid(one) for one in range(PAIRS)).index(uid(number))

    def findings(self) -> dict[int, Finding]:
        return {one.row: one for one in read_findings(self.assets)}


def digits() -> list[dict[str, object]]:
    return [
        {"__key__": f"d{number}", "png": encoded(scene(100 + number), "PNG"), "cls": number % 3}
        for number in range(6)
    ]


def letters() -> list[dict[str, object]]:
    """Small ones, the last two of one colour."""
    small = [encoded(scene(200 + number, 32), "PNG") for number in range(4)]
    flat = [encoded(Image.new("RGB", (32, 32), "navy"), "PNG"), encoded(Image.new("RGB", (90, 90), "navy"), "PNG")]
    return [{"__key__": f"l{number}", "png": data, "cls": 0} for number, data in enumerate(small + flat)]


def pictures() -> dict[int, bytes]:
    found = {number: encoded(scene(number)) for number in range(PAIRS)}
    found[3] = encoded(scene(101).resize((100, 100)), quality=60)
    found[17] = encoded(scene(104), "PNG")
    found[20] = encoded(scene(200, 32), "PNG")
    found[21] = encoded(scene(201, 32).point(lambda value: value ^ 1), "PNG")  # small, and nearly the same
    found[22] = encoded(Image.new("RGB", (90, 90), "navy"))
    found[23] = found[0][: len(found[0]) // 2]
    found[24] = b"no picture"
    return found


def make(folder: Path, shown: Mapping[int, bytes], dead: int = 2) -> Path:
    """The assets folder of a pool of these pictures, and of some uids that are in no shard."""
    download = Download(folder)
    write_metadata(download.metadata, uid(-1), [uid(n) for n in range(PAIRS + dead)], list(range(PAIRS + dead)))
    for number, part in enumerate(np.array_split(np.arange(PAIRS), 2)):
        members = [{**sample(one), "jpg": shown[one]} for one in part.tolist()]
        write_shard(download.shards / f"{number:08d}.tar", members)
    assets = as_assets(download, folder / "assets")
    build_index(assets, silent)
    return assets


@pytest.fixture
def world(tmp_path: Path) -> World:
    assets = make(tmp_path, pictures())
    write_set(layout.evaluation(assets), DIGITS, digits(), classes=[str(n) for n in range(10)])
    write_set(layout.evaluation(assets), LETTERS, letters(), classes=[chr(97 + n) for n in range(16)])
    return World(assets)


@pytest.mark.parametrize("threads", [1, 3])
def test_copies_of_evaluation_pictures_are_counted_and_stay(world: World, threads: int) -> None:
    before = sorted(path.name for path in layout.pool(world.assets).rglob("*"))
    counts = audit_pool(world.assets, silent, threads)
    assert counts == read_counts(world.assets)
    assert counts is not None
    assert (counts.rows, counts.items, counts.excluded, counts.reported) == (PAIRS, 12, 0, 3)
    assert counts.unreadable == 2
    assert wording.audited(counts) == (
        "3 of 30 rows look like benchmark items; they may be chosen (found: 3 by image; 2 with unreadable pictures)"
    )
    assert counts.by_rule == {"image": 3}
    assert counts.by_benchmark == {"tiny/digits": 2, "tiny/letters": 1}
    assert counts.items_found == {"tiny/digits": 2, "tiny/letters": 1}
    found = world.findings()
    assert {row: (one.benchmark, one.item) for row, one in found.items()} == {
        world.row(3): ("tiny/digits", "0/d1"),
        world.row(17): ("tiny/digits", "1/d4"),
        world.row(20): ("tiny/letters", "0/l0"),
    }
    assert found[world.row(3)].uid == uid(3)
    assert 0.97 <= found[world.row(3)].score < found[world.row(17)].score <= 1
    assert sorted(path.name for path in layout.pool(world.assets).rglob("*")) == before
    with PoolIndex(world.assets) as index:
        assert index.rows == PAIRS


def test_a_picture_of_two_sets_counts_for_both_and_one_item_for_many_pairs(world: World) -> None:
    digit = digits()[1]
    write_set(layout.evaluation(world.assets), set_of("tiny/shapes"), [{**digit, "__key__": "s0"}], shards=1)
    counts = audit_pool(world.assets, silent)
    assert counts is not None
    assert counts.by_benchmark == {"tiny/digits": 2, "tiny/letters": 1, "tiny/shapes": 1}
    assert (counts.by_rule, counts.reported) == ({"image": 3}, 3)


def test_where_there_are_no_evaluation_sets_nothing_is_written(tmp_path: Path) -> None:
    assets = make(tmp_path, pictures())
    assert audit_pool(assets, silent) is None
    assert read_counts(assets) is None
    assert not layout.audit(assets).exists()


def test_a_broken_evaluation_picture_is_counted_and_does_not_stop_the_audit(tmp_path: Path) -> None:
    assets = make(tmp_path, pictures())
    broken = [{**one, "png": b"\x89PNG broken"} if place == 0 else one for place, one in enumerate(digits())]
    write_set(layout.evaluation(assets), DIGITS, broken, classes=[str(n) for n in range(10)])
    counts = audit_pool(assets, silent)
    assert counts is not None
    assert (counts.unreadable, counts.items_unreadable, counts.reported) == (2, 1, 2)
    assert "1 pictures of items were unreadable" in wording.audited(counts)
    assert {one.item for one in read_findings(assets)} == {"0/d1", "1/d4"}


def test_a_shard_that_was_cut_after_indexing_leaves_no_counts(world: World) -> None:
    shard = next(layout.shards(world.assets).glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-2048])
    with pytest.raises(AssetsInvalid, match=shard.name):
        audit_pool(world.assets, silent)
    assert read_counts(world.assets) is None
    assert not (layout.audit(world.assets) / FLAGGED).exists()


def test_an_audit_that_fails_half_way_leaves_no_findings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: pool._Audit, tell: object) -> None:
        raise AssetsInvalid("half way", hint="")

    monkeypatch.setattr(pool._Audit, "add_descriptors", fail)
    with pytest.raises(AssetsInvalid, match="half way"):
        audit_pool(world.assets, silent)
    assert list(layout.audit(world.assets).iterdir()) == []


@pytest.mark.parametrize("text", ["{", '{"rows": 3}'], ids=["cut", "poor"])
def test_damaged_counts_are_told_from_none(world: World, text: str) -> None:
    audit_pool(world.assets, silent)
    (layout.audit(world.assets) / "audit.json").write_text(text)
    with pytest.raises(AssetsInvalid, match=r"audit\.json"):
        read_counts(world.assets)


def test_the_pool_is_read_a_few_pictures_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pairs there are: what is held is a chunk, and every shard is read once from front to end."""
    monkeypatch.setattr("curation_plugins.picture_hashes.CHUNK", 4)
    asked: list[tuple[int, int]] = []
    plain = PoolIndex.image

    def image(self: PoolIndex, row: int) -> bytes:
        place = self.samples[row]
        asked.append((int(place["shard"]), int(place["image"])))
        return plain(self, row)

    monkeypatch.setattr(PoolIndex, "image", image)
    ahead: list[int] = []
    add = pool._Audit.add_pictures

    def counted(self: pool._Audit, row: int, found: list[object]) -> None:
        ahead.append(len(asked) - len(ahead))
        add(self, row, found)  # type: ignore[arg-type]

    monkeypatch.setattr(pool._Audit, "add_pictures", counted)
    audit_pool(world.assets, silent)
    assert asked == sorted(asked)
    assert len(asked) == PAIRS
    assert max(ahead) <= 4 + 2  # a chunk, and the two that cannot be read


# -- descriptors -------------------------------------------------------------------------------------


def with_descriptors(world: World, rows: np.ndarray, items: np.ndarray) -> None:
    """Descriptors of all uids in the metadata's order, and of the digits."""
    (archive,) = layout.metadata(world.assets).glob("*.npz")
    with np.load(archive) as arrays:
        np.savez(archive, dedup=rows, l14_img=arrays["l14_img"])
    np.save(layout.evaluation(world.assets) / DIGITS.folder / known.DESCRIPTORS, items)


def test_descriptors_count_where_both_sides_have_them(world: World) -> None:
    rng = np.random.default_rng(1)
    items = rng.normal(size=(6, 64)).astype(np.float32)
    rows = rng.normal(size=(PAIRS + 2, 64)).astype(np.float16)
    rows[3] = 5 * items[1]  # found by both rules
    rows[8] = items[5] + 0.3 * rng.normal(size=64)  # a crop, say, that the hash cannot know
    with_descriptors(world, rows, items)
    counts = audit_pool(world.assets, silent)
    assert counts is not None
    assert counts.by_rule == {"descriptor": 2, "image": 3}
    assert counts.by_benchmark == {"tiny/digits": 3, "tiny/letters": 1}
    assert counts.reported == 4
    by_descriptor = {one.row: one.item for one in read_findings(world.assets) if one.rule == "descriptor"}
    assert by_descriptor == {world.row(3): "0/d1", world.row(8): "1/d5"}


def test_a_descriptor_of_two_sets_counts_for_both(world: World) -> None:
    rng = np.random.default_rng(1)
    items, others = (rng.normal(size=(6, 64)).astype(np.float32) for _ in range(2))
    rows = rng.normal(size=(PAIRS + 2, 64)).astype(np.float16)
    others[2] = rows[8] = items[5]
    with_descriptors(world, rows, items)
    np.save(layout.evaluation(world.assets) / LETTERS.folder / known.DESCRIPTORS, others)
    counts = audit_pool(world.assets, silent)
    assert counts is not None
    assert counts.by_rule["descriptor"] == 1
    found = [one for one in read_findings(world.assets) if one.rule == "descriptor"]
    assert {(one.benchmark, one.row) for one in found} == {(key, world.row(8)) for key in (DIGITS.key, LETTERS.key)}
    assert len(found) == 2


def test_descriptors_of_one_side_only_are_not_asked_for(world: World) -> None:
    np.save(layout.evaluation(world.assets) / DIGITS.folder / known.DESCRIPTORS, np.ones((6, 64)))
    counts = audit_pool(world.assets, silent)
    assert counts is not None
    assert "descriptor" not in counts.by_rule


@pytest.mark.parametrize(
    ("shape", "said"),
    [((5, 64), "for 6 items"), ((6, 32), "64 numbers, the evaluation sets' 32"), ((6,), "no array of descriptors")],
    ids=["items", "width", "flat"],
)
def test_descriptors_that_do_not_fit_are_named(world: World, shape: tuple[int, ...], said: str) -> None:
    with_descriptors(world, np.ones((PAIRS + 2, 64), dtype=np.float16), np.ones(shape))
    with pytest.raises(AssetsInvalid, match=said):
        audit_pool(world.assets, silent)


def test_the_threshold_is_a_cosine_above_datacomp_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation_plugins.tasks.datacomp.audit.descriptors._AT_ONCE", 2)
    angles = np.arccos([COSINE + 1e-4, COSINE - 1e-4, 1.0, 0.0])
    rows = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    others = np.array([[0, 0, 0], [0, 0, 1], [2, 0, 0], [1, 0, 0.9]], dtype=np.float32)
    found = list(copies(rows, others))
    assert [(row, item) for row, item, _ in found] == [(0, 2), (2, 2)]
    assert [cosine for _, _, cosine in found] == pytest.approx([COSINE + 1e-4, 1.0], abs=1e-6)
    assert list(copies(np.zeros((2, 3)), others)) == []
    assert list(copies(rows, others[:0])) == []


def test_items_are_counted_through_over_all_sets(world: World) -> None:
    items = known.KnownItems(world.assets)
    assert [items.of(number) for number in (0, 5, 6, 11)] == [
        *(("tiny/digits", "0/d0"), ("tiny/digits", "1/d5"), ("tiny/letters", "0/l0"), ("tiny/letters", "1/l5"))
    ]
    images: Iterator[bytes] = items.images()
    assert sum(1 for _ in images) == len(items) == 12
