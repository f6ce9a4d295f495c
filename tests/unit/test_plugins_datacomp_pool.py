"""A pool as DataComp's own tools leave it: indexed in place, every pair found again, oddities counted or refused."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.index_making import build_index
from curation_plugins.tasks.datacomp.manifest import PoolManifest, read_manifest
from curation_plugins.tasks.datacomp.metadata_uids import MetadataUids
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from downloaded_pool import (
    Download,
    add_member,
    as_assets,
    caption,
    download,
    image,
    sample,
    uid,
    write_metadata,
    write_shard,
)


def silent(what: str, done: float) -> None:
    return


def indexed(made: Download, threads: int = 1) -> tuple[Path, PoolManifest]:
    assets = as_assets(made, made.folder / "assets")
    return assets, build_index(assets, silent, threads)


def hexes(array: np.ndarray) -> list[str]:
    return [f"{high:016x}{low:016x}" for high, low in array.tolist()]


# -- the whole way -------------------------------------------------------------------------------------------------


def test_every_pair_is_found_again_by_its_row(tmp_path: Path) -> None:
    assets, manifest = indexed(download(tmp_path))

    assert (manifest.uids, manifest.reachable, manifest.unreachable) == (300, 240, 60)
    assert manifest.reachable_share == 0.8
    assert [shard.pairs for shard in manifest.shards] == [120, 120]
    assert [file.rows for file in manifest.metadata] == [100, 100, 100]
    assert len(manifest.features) == 3
    assert read_manifest(layout.manifest(assets)) == manifest
    lost = hexes(np.load(layout.unreachable(assets)))
    assert lost == sorted(uid(number) for number in range(240, 300))
    number_of = {uid(number): number for number in range(300)}
    with PoolIndex(assets) as pool:
        found = hexes(pool.uids)
        assert found == sorted(uid(number) for number in range(240))
        numbers = [number_of[one] for one in found]
        assert [pool.image(row) for row in range(pool.rows)] == [image(number) for number in numbers]
        assert [pool.text(row) for row in range(pool.rows)] == [caption(number) for number in numbers]
        columns = pool.columns(["uid", "original_width"])
        assert columns["uid"].tolist() == found
        assert columns["original_width"].tolist() == [200 + number for number in numbers]
        assert pool.text_lengths().tolist() == [len(caption(number)) for number in numbers]
        seen = np.full(pool.rows, -1.0)
        for rows, values in pool.features("l14_img"):
            seen[rows] = values[:, 0]
        assert seen.tolist() == numbers


def test_the_index_is_the_same_however_many_processes_made_it(tmp_path: Path) -> None:
    made = download(tmp_path)
    files = ("index/uids.npy", "index/samples.npy", "index/places.npy", "pool/unreachable.npy", "pool/manifest.json")
    contents = []
    for threads in (1, 2):
        assets = as_assets(made, tmp_path / f"assets{threads}")
        build_index(assets, silent, threads)
        contents.append([(assets / name).read_bytes() for name in files])
    assert contents[0] == contents[1]


def test_the_downloads_files_are_left_as_they_are(tmp_path: Path) -> None:
    made = download(tmp_path / "own")
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    assets = as_assets(made, tmp_path / "assets")
    build_index(assets, silent)
    assert {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()} == before


# -- counted -------------------------------------------------------------------------------------------------------


def test_repeated_strange_and_incomplete_pairs_are_counted(tmp_path: Path) -> None:
    made = Download(tmp_path)
    write_metadata(made.metadata, "a", [uid(n) for n in range(20)] + [uid(3)], [*range(20), 99])
    no_text = {ending: data for ending, data in sample(11).items() if ending != "txt"}
    no_image = {ending: data for ending, data in sample(12).items() if ending != "jpg"}
    write_shard(made.shards / "0.tar", [*map(sample, range(10)), sample(4), sample(500), no_text, no_image])
    write_shard(made.shards / "1.tar", [{**sample(2), "jpg": b"\xff\xd8 another"}, sample(13)])
    assets, manifest = indexed(made)
    assert (manifest.metadata_rows, manifest.uids) == (21, 20)
    assert (manifest.pairs, manifest.reachable) == (14, 11)
    assert (manifest.repeated_pairs, manifest.unknown_pairs, manifest.incomplete) == (2, 1, 2)
    with PoolIndex(assets) as pool:
        row = hexes(pool.uids).index(uid(2))
        assert pool.image(row) == image(2)  # the first counts
        assert pool.columns(["original_width"])["original_width"][hexes(pool.uids).index(uid(3))] == 203


def test_equal_halves_of_uids_are_told_apart(tmp_path: Path) -> None:
    same_high = [f"{7:016x}{low:016x}" for low in (9, 2, 5, 2, 2**63 + 1)]
    other = [f"{high:016x}{1:016x}" for high in (7, 2**63, 1)]
    write_metadata(tmp_path, "a", same_high + other, list(range(8)))
    table = MetadataUids([tmp_path / "a.parquet"])
    wanted = sorted({*same_high, *other})
    assert hexes(table.uids(slice(None))) == wanted
    asked = [*wanted, f"{7:016x}{3:016x}", f"{6:016x}{2:016x}", "f" * 32, "0" * 32]
    high = np.array([int(one[:16], 16) for one in asked], np.uint64)
    low = np.array([int(one[16:], 16) for one in asked], np.uint64)
    assert table.find(high, low).tolist() == [*range(len(wanted)), -1, -1, -1, -1]
    assert table.places(slice(None))[1][wanted.index(same_high[1])] == 1  # of equal uids the first


# -- refused -------------------------------------------------------------------------------------------------------


def cut_in_an_image(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 512 * 30 + 5])


def cut_at_a_header(path: Path) -> None:
    with tarfile.open(path) as archive:
        end = archive.getmembers()[30].offset
    path.write_bytes(path.read_bytes()[:end])


def damaged_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        data[archive.getmembers()[30].offset + 100] ^= 0xFF
    path.write_bytes(bytes(data))


def no_tar(path: Path) -> None:
    path.write_bytes(b"<html>404</html>" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rewritten(path: Path, extra: Callable[[tarfile.TarFile], None]) -> None:
    with tarfile.open(path, "w") as archive:
        for ending, data in sample(0).items():
            add_member(archive, f"0.{ending}", data)
        extra(archive)


def link_to_a_file_of_the_host(path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("1.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)

    rewritten(path, add)


def sparse_member(path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("1.jpg")
        member.type = tarfile.GNUTYPE_SPARSE
        archive.addfile(member)

    rewritten(path, add)


def pipe(path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("1.jpg")
        member.type = tarfile.FIFOTYPE
        archive.addfile(member)

    rewritten(path, add)


def header_of_an_endless_member(path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("1.jpg")
        member.size = 2**62
        archive.fileobj.write(member.tobuf(tarfile.GNU_FORMAT))
        archive.offset += 512

    rewritten(path, add)


def extended_header_of_two_gigabytes(path: Path) -> None:
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 2**31
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 2**31 + 4096)


def two_images_in_one_sample(path: Path) -> None:
    rewritten(path, lambda archive: add_member(archive, "0.JPG", b"x"))


def facts(**told: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_shard(path, [sample(0), sample(1, told)])

    return write


def json_of_lists(path: Path) -> None:
    write_shard(path, [{**sample(0), "json": b"[" * 100_000}])


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (cut_in_an_image, "cut off or damaged near byte"),
        (cut_at_a_header, "no end mark"),
        (damaged_header, "cut off or damaged near byte"),
        (no_tar, "cut off or damaged near byte 0"),
        (empty, "cut off or damaged near byte 0"),
        (link_to_a_file_of_the_host, "'1.jpg' is no plain file"),
        (sparse_member, "1.jpg"),
        (pipe, "'1.jpg' is no plain file"),
        (header_of_an_endless_member, "cut off or damaged near byte"),
        (extended_header_of_two_gigabytes, "a header of 2147483648 bytes"),
        (two_images_in_one_sample, r"two members \.jpg"),
        (facts(caption="no uid"), "JSON has no uid"),
        (facts(uid="0x" + "a" * 30), "JSON has no uid"),
        (facts(uid=["a" * 32]), "JSON has no uid"),
        (json_of_lists, "JSON has no uid"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_shard_is_named(tmp_path: Path, break_it: Callable[[Path], None], said: str) -> None:
    made = download(tmp_path, rows=60, alive=60)
    break_it(made.shards / "00000001.tar")
    with pytest.raises(AssetsInvalid, match=said) as refused:
        indexed(made)
    assert "00000001.tar" in refused.value.message
    assert refused.value.hint


def test_a_shard_that_breaks_in_another_process_is_named(tmp_path: Path) -> None:
    made = download(tmp_path, rows=60, alive=60)
    cut_at_a_header(made.shards / "00000001.tar")
    with pytest.raises(AssetsInvalid, match=r"00000001\.tar is cut off") as refused:
        indexed(made, threads=2)
    assert refused.value.hint


def test_names_that_climb_out_of_the_folder_are_only_names(tmp_path: Path) -> None:
    made = download(tmp_path, rows=10, alive=0, shards=1)
    with tarfile.open(made.shards / "00000000.tar", "w") as archive:
        for ending, data in sample(3).items():
            add_member(archive, f"../../../etc/cron.d/x.{ending}", data)
    assets, manifest = indexed(made)
    assert manifest.reachable == 1
    with PoolIndex(assets) as pool:
        assert pool.image(0) == image(3)


def test_shards_of_another_pool_are_refused(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=0, shards=1)
    write_shard(made.shards / "00000000.tar", [sample(number) for number in range(1000, 1010)])
    with pytest.raises(AssetsInvalid, match="none of the 10 pairs") as refused:
        indexed(made)
    assert "different pools" in (refused.value.hint or "")


def test_a_folder_without_shards_or_metadata_is_refused(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=30)
    for path in made.shards.glob("*.tar"):
        path.unlink()
    with pytest.raises(AssetsInvalid, match=r"no \*\.tar") as refused:
        indexed(made)
    assert "download_upstream.py" in (refused.value.hint or "")
    for path in made.metadata.glob("*.parquet"):
        path.unlink()
    with pytest.raises(AssetsInvalid, match=r"no \*\.parquet"):
        build_index(made.folder / "assets", silent)


@pytest.mark.parametrize("bad", ["", "a" * 31, "a" * 33, "g" * 32, "é" * 16, None], ids=range(6))
def test_a_uid_that_is_none_is_named_by_file_and_row(tmp_path: Path, bad: str | None) -> None:
    made = download(tmp_path, rows=90, alive=90, files=1)
    uids: list[str | None] = [uid(number) for number in range(70)]
    uids[65] = bad
    pq.write_table(pa.table({"uid": uids}), made.metadata / "zz.parquet", row_group_size=20)
    with pytest.raises(AssetsInvalid, match=r"zz\.parquet, row 65: no uid"):
        indexed(made)


def test_metadata_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=30, files=1)
    (file,) = made.metadata.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(AssetsInvalid, match=file.name):
        indexed(made)


def test_an_index_is_refused_when_its_shards_changed(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=30)
    assets, _ = indexed(made)
    shard = made.shards / "00000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole + bytes(512))
    with pytest.raises(AssetsInvalid, match=r"00000001\.tar is .* bytes long"):
        PoolIndex(assets)
    shard.unlink()
    with pytest.raises(AssetsInvalid, match=r"00000001\.tar is gone"):
        PoolIndex(assets)


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}] * 30, object), allow_pickle=True)


def shortened(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def of_other_fields(path: Path) -> None:
    np.save(path, np.zeros(30, np.int64))


@pytest.mark.parametrize("damage", [pickled, shortened, of_other_fields], ids=lambda value: value.__name__)
@pytest.mark.parametrize("name", ["uids", "samples", "places"])
def test_a_damaged_index_is_refused(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    assets, _ = indexed(download(tmp_path, rows=30, alive=30))
    damage(assets / "index" / f"{name}.npy")
    with pytest.raises(AssetsInvalid) as refused:
        PoolIndex(assets)
    assert "Remove the assets folder" in (refused.value.hint or "")


def test_features_of_other_rows_or_with_pickles_are_refused(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=30, files=1)
    assets, _ = indexed(made)
    (file,) = made.metadata.glob("*.npz")
    with PoolIndex(assets) as pool:
        np.savez(file, l14_img=np.zeros((29, 4)), dedup=np.array([{"a": 1}] * 30, object))
        with pytest.raises(AssetsInvalid, match="29 rows"):
            list(pool.features("l14_img"))
        with pytest.raises(AssetsInvalid, match="dedup"):
            list(pool.features("dedup"))
        with pytest.raises(AssetsInvalid, match="no feature b32_img"):
            list(pool.features("b32_img"))


def test_the_manifest_names_every_shard_by_hash(tmp_path: Path) -> None:
    made = download(tmp_path, rows=30, alive=30)
    assets, _ = indexed(made)
    told = json.loads(layout.manifest(assets).read_text())
    for shard in told["shards"]:
        assert hashlib.sha256((made.shards / shard["name"]).read_bytes()).hexdigest() == shard["sha256"]
