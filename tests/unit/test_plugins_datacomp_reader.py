"""Which pairs a training reads, in which order, and what becomes of damaged ones."""

from __future__ import annotations

import io
import os
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.selection import of_arrays
from curation_plugins.tasks.datacomp import layout, models
from curation_plugins.tasks.datacomp.compact import compacted
from curation_plugins.tasks.datacomp.feed import Batch, Feed
from curation_plugins.tasks.datacomp.order import Order
from curation_plugins.tasks.datacomp.pair_bytes import Files, Reader
from curation_plugins.tasks.datacomp.pairs import Decoder, decode, to_model
from curation_plugins.tasks.datacomp.recipe import Recipe, read_recipe
from curation_plugins.tasks.datacomp.train import _Work
from small_clip_pool import files_of, make_assets, picture

SIZE = (16, 16)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_assets(tmp_path_factory.mktemp("pool") / "assets", shards=3, pairs=40)


def _recipe(**values: Any) -> Recipe:
    return read_recipe({"extends": "tiny", "samples": 400, "batch": 40, "workers": 0, **values})


def _feed(assets: Path, recipe: Recipe, rows: slice = slice(None), seed: int = 3, **more: Any) -> Feed:
    every = files_of(assets)
    files = Files(every.paths, every.samples, np.arange(len(every))[rows])
    repeats = more.pop("repeats", np.ones(len(files), np.int64))
    order = Order(repeats, seed, recipe.shuffle_rows, recipe.shuffle_run)
    return Feed(files, order, models.tokenizer(recipe, assets), SIZE, recipe, seed, **more)


def _same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.tokens, b.tokens) for a, b in zip(one, other, strict=True)
    )


# --- bytes ---


def test_images_and_texts_are_those_of_the_tars(assets: Path) -> None:
    files = files_of(assets)
    reader, found = Reader(files), set()
    for place in range(len(files)):
        found.add((reader.image(place), reader.raw_text(place)))
    wanted = set()
    for path in sorted(layout.shards(assets).glob("*.tar")):
        with tarfile.open(path) as archive:
            members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        wanted |= {(members[name], members[name[:-3] + "txt"]) for name in members if name.endswith("jpg")}
    assert found == wanted


def test_few_shards_are_held_open_however_many_there_are(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation_plugins.tasks.datacomp.pair_bytes.OPEN_FILES", 1)
    reader, files = Reader(files_of(assets)), files_of(assets)
    assert all(reader.image(place) == Reader(files).image(place) for place in range(0, 120, 7))
    assert len(reader._open) == 1


def test_a_compact_copy_gives_the_same_pairs(assets: Path, tmp_path: Path) -> None:
    files = files_of(assets)
    chosen = Files(files.paths, files.samples, np.arange(5, 60, 3))
    copied = compacted(chosen, tmp_path / "compact", lambda what, done: None)
    one, other = Reader(chosen), Reader(copied)
    assert len(copied.paths) == 1
    for place in range(len(chosen)):
        assert (one.image(place), one.text(place)) == (other.image(place), other.text(place))


# --- order ---


def test_every_pair_comes_once_before_any_comes_again() -> None:
    order = Order(np.ones(100, np.int64), seed=1)
    for number in range(3):
        assert sorted(order.at(100 * number, 100).tolist()) == list(range(100))
    assert order.at(0, 100).tolist() != order.at(100, 100).tolist()


def test_weights_are_repeats() -> None:
    order = Order(np.array([1, 3, 2]), seed=1)
    assert np.bincount(order.at(0, 600)).tolist() == [100, 300, 200]


@pytest.mark.parametrize("window", [None, 50], ids=["whole", "windows"])
def test_any_part_of_the_order_can_be_asked_for_alone(window: int | None) -> None:
    whole = Order(np.ones(130, np.int64), 1, window, 8).at(0, 400)
    parts = [Order(np.ones(130, np.int64), 1, window, 8).at(at, 37) for at in range(0, 360, 37)]
    assert np.concatenate(parts).tolist() == whole[:370].tolist()


def test_a_seed_gives_one_order_and_another_seed_another() -> None:
    orders = [Order(np.ones(50, np.int64), seed).at(0, 50).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_windows_are_shuffled_inside_and_made_of_runs_from_everywhere() -> None:
    order = Order(np.ones(4096, np.int64), 1, window=512, run=32).at(0, 4096)
    assert sorted(order.tolist()) == list(range(4096))
    for at in range(0, 4096, 512):
        window = order[at : at + 512]
        assert len(set((window // 32).tolist())) == 16  # whole runs: what is read together lies together
        assert window.max() - window.min() > 2048
        assert (np.diff(window) == 1).mean() < 0.05


@pytest.mark.parametrize("compact", [False, True], ids=["shards", "compact"])
def test_the_pairs_of_a_window_are_runs_of_neighbours_in_the_shards(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compact: bool
) -> None:
    """Rows are in the order of their uids, which are hashes: neighbours among them lie in any shard."""
    rows = np.arange(5, 120)
    of_arrays(rows, np.ones(len(rows))).write(tmp_path / "selection")
    recipe = _recipe(shuffle_rows=40, shuffle_run=8)
    work = _Work(assets, tmp_path / "selection", recipe, 3, tmp_path / "out", None, "", None)
    if compact:
        work = replace(work, compact=compacted(work.plan()[0], tmp_path / "compact", lambda what, done: None))
    files, order = work.plan()
    samples = files.at(np.arange(len(files)))
    rank = np.argsort(np.lexsort((samples["image"], samples["shard"])))
    assert sorted(order.at(0, len(rows)).tolist()) == list(range(len(rows)))
    for at in (0, 40):
        assert len(set((rank[order.at(at, 40)] // 8).tolist())) <= 6  # five runs, of which the last one is shorter
    advised = list[tuple[Path, int]]()

    def advise(file: int, at: int, *_: int) -> None:
        advised.append((Path(f"/proc/self/fd/{file}").readlink(), at))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    Reader(files).will_need(order.at(0, 40))
    assert advised == sorted(advised)
    assert len(advised) == 40


# --- what a training sees ---


def test_pixels_and_tokens_are_those_of_open_clips_own_transform(assets: Path) -> None:
    """Bit for bit, given the same random draws: open_clip's transform for training, and its tokenizer."""
    files, recipe = files_of(assets), _recipe()
    tokenizer = models.tokenizer(recipe, assets)
    transform = image_transform(SIZE, is_train=True, mean=(0.5,) * 3, std=(0.25,) * 3)
    decoder, reader = Decoder(files, tokenizer, SIZE, (0.9, 1.0), seed=5), Reader(files)
    for place in range(0, 30, 7):
        decoded = decoder.chunk(place, np.array([place]))
        ours = to_model(decoded.pixels, (0.5,) * 3, (0.25,) * 3)[0]
        torch.default_generator.manual_seed(_crop_seed(5, place))
        theirs = transform(Image.open(io.BytesIO(reader.image(place))))
        assert torch.equal(ours, theirs)
        assert torch.equal(decoded.tokens[0], tokenizer([reader.text(place)])[0])


def test_torchvisions_kernel_crops_the_same_and_shrinks_almost_the_same(tmp_path: Path) -> None:
    """What `resize: torchvision` changes: rounding of 8-bit values."""
    photographs = files_of(make_assets(tmp_path / "a", shards=1, pairs=12, sides=(90, 200)))
    tokenizer = models.tokenizer(_recipe(), tmp_path / "a")
    one, other = (
        Decoder(photographs, tokenizer, (64, 64), (0.9, 1.0), 5, resize).chunk(0, np.arange(12)).pixels.int()
        for resize in ("pillow", "torchvision")
    )
    apart = (one - other).abs()
    assert 0 < float((apart > 0).float().mean()) < 0.1
    assert int(apart.max()) <= 2


def _crop_seed(seed: int, position: int) -> int:
    import hashlib

    return int.from_bytes(hashlib.blake2b(f"{seed} {position}".encode(), digest_size=7).digest(), "little")


def test_the_trainings_own_random_numbers_are_left_alone(assets: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(_feed(assets, _recipe()).batches(0))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "values", [{"workers": 1}, {"workers": 2, "shuffle_rows": 60, "shuffle_run": 8}], ids=["whole", "windows"]
)
def test_batches_are_the_same_for_any_number_of_workers(assets: Path, values: dict[str, Any]) -> None:
    alone = _recipe(**{**values, "workers": 0})
    assert _same(list(_feed(assets, _recipe(**values)).batches(0)), list(_feed(assets, alone).batches(0)))


def test_batches_from_a_later_step_are_those_of_the_whole(assets: Path) -> None:
    whole = list(_feed(assets, _recipe(workers=1)).batches(0))
    assert _same(list(_feed(assets, _recipe(workers=1)).batches(6)), whole[6:])


def test_the_parts_of_several_cards_are_the_batch(assets: Path) -> None:
    whole = list(_feed(assets, _recipe()).batches(0))
    parts = [list(_feed(assets, _recipe(cards=2), rank=rank).batches(0)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(batch.pixels, torch.cat([first.pixels, second.pixels]))


def test_the_same_pair_is_cropped_anew_each_time(assets: Path) -> None:
    feed = _feed(assets, _recipe(samples=80), rows=slice(0, 40))
    first, second = feed.batches(0)
    tokens = {tuple(row.tolist()) for row in first.tokens}
    assert tokens == {tuple(row.tolist()) for row in second.tokens}
    assert not torch.equal(first.pixels.sort(0).values, second.pixels.sort(0).values)


def test_giving_up_in_the_middle_leaves_no_thread(assets: Path) -> None:
    import threading

    before = threading.active_count()
    batches = _feed(assets, _recipe(workers=1, shuffle_rows=60, shuffle_run=8)).batches(0)
    next(batches)
    batches.close()
    assert _soon(lambda: threading.active_count() == before)


def _soon(true: Any) -> bool:
    import time

    for _ in range(200):
        if true():
            return True
        time.sleep(0.05)
    return False


# --- what is damaged ---


def test_a_broken_image_is_replaced_by_the_next_pair_and_counted(tmp_path: Path) -> None:
    damaged = make_assets(tmp_path / "a", shards=3, pairs=40, broken=[17])
    feeds = [_feed(damaged, _recipe(workers=workers)) for workers in (0, 2)]
    assert _same(*(list(feed.batches(0)) for feed in feeds))
    for feed in feeds:
        (bad,) = feed.broken
        assert decode(Reader(feed.files).image(bad)) is None
        assert feed.replaced == np.count_nonzero(feed.order.at(0, 400) == bad) > 2


def test_more_than_a_hundredth_broken_stops_the_training_as_ours(tmp_path: Path) -> None:
    damaged = make_assets(tmp_path / "a", shards=3, pairs=40, broken=[17, 30, 99])
    with pytest.raises(AssetsInvalid, match=r"of the 120 selected images cannot be decoded.*1%"):
        list(_feed(damaged, _recipe(workers=1)).batches(0))


def test_a_pool_of_nothing_but_broken_images_is_told_and_does_not_hang(tmp_path: Path) -> None:
    damaged = make_assets(tmp_path / "a", shards=1, pairs=40, broken=range(40))
    with pytest.raises(AssetsInvalid, match="none of the 40 selected images"):
        list(_feed(damaged, _recipe()).batches(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_is_gone_is_told_by_name(tmp_path: Path, workers: int) -> None:
    lost = make_assets(tmp_path / "a", shards=2, pairs=40)
    feed = _feed(lost, _recipe(workers=workers))
    (layout.shards(lost) / "00000001.tar").unlink()
    with pytest.raises(AssetsInvalid, match=r"00000001\.tar cannot be read"):
        list(feed.batches(0))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8 no picture", picture(1, 20, 20)[:200], picture(1, 20, 20, "PNG")[:-30], b"GIF89a" + bytes(100)],
    ids=["empty", "header", "cut-jpeg", "cut-png", "gif"],
)
def test_what_is_no_whole_image_is_none(data: bytes) -> None:
    assert decode(data) is None


def test_grey_palette_and_transparent_images_become_rgb() -> None:
    rng = random.Random(0)
    for mode in ("L", "P", "RGBA", "LA", "1"):
        out = io.BytesIO()
        Image.new(mode, (8, 8), color=rng.randrange(2)).save(out, "PNG")
        image = decode(out.getvalue())
        assert image is not None
        assert image.mode == "RGB"
