"""The blob store, without HTTP: what is kept, what is charged, what is left behind."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curation_sandbox.blobs import BlobRejected, BlobStore
from curation_sandbox.errors import DiskFull
from submit_bench import sha

BLOCK = 4096


def put(store: BlobStore, data: bytes, digest: str | None = None) -> int:
    with store.upload(digest or sha(data)) as upload:
        for start in range(0, len(data), 1000):
            upload.write(data[start : start + 1000])
        return upload.finish()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path, max_blob=10_000, max_total=10 * BLOCK)


def test_a_blob_lies_under_its_digest_and_cannot_be_written(store: BlobStore, tmp_path: Path) -> None:
    data = b"abc" * 2000
    assert put(store, data) == 6000
    assert store.path(sha(data)) == tmp_path / "blobs" / sha(data)
    assert store.path(sha(data)).read_bytes() == data
    assert store.path(sha(data)).stat().st_mode & 0o777 == 0o444
    assert files(tmp_path) == [f"blobs/{sha(data)}"]


def test_empty_blob(store: BlobStore) -> None:
    assert put(store, b"") == 0
    assert sha(b"") in store


def test_digest_mismatch_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(BlobRejected, match="SHA-256") as caught:
        put(store, b"other bytes", sha(b"promised bytes"))
    assert caught.value.reason == "digest-mismatch"
    assert files(tmp_path) == []
    assert store.charged == 0


@pytest.mark.parametrize("offset", [0, 1, 999, 5000])
def test_broken_off_upload_leaves_nothing(store: BlobStore, tmp_path: Path, offset: int) -> None:
    upload = store.upload(sha(b"x" * 6000))
    upload.write(b"x" * offset)
    upload.discard()
    assert files(tmp_path) == []
    assert store.charged == 0
    assert sha(b"x" * 6000) not in store


def test_oversize_stops_before_the_disk(store: BlobStore, tmp_path: Path) -> None:
    with store.upload(sha(b"x")) as upload:
        upload.write(b"x" * 9_999)
        with pytest.raises(BlobRejected, match="larger than 10000"):
            upload.write(b"xx")
    assert files(tmp_path) == []
    assert store.charged == 0


def test_total_cap_counts_running_uploads(store: BlobStore) -> None:
    first, second = store.upload(sha(b"1")), store.upload(sha(b"2"))
    third, fourth = store.upload(sha(b"3")), store.upload(sha(b"4"))
    for upload in (first, second, third):
        upload.write(b"x" * 9_000)  # three blocks each
    with pytest.raises(BlobRejected, match="full") as caught:
        fourth.write(b"x" * 9_000)
    assert caught.value.reason == "too-large"
    first.discard()
    fourth.write(b"x" * 9_000)
    for upload in (second, third, fourth):
        upload.discard()
    assert store.charged == 0


def test_ten_thousand_tiny_blobs_hit_the_total_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap on bytes would let millions of empty files through; each is charged a block."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    store = BlobStore(tmp_path, max_blob=100, max_total=2000 * BLOCK)
    kept = 0
    for number in range(10_000):
        try:
            put(store, b"%d" % number)
        except BlobRejected:
            continue
        kept += 1
    assert kept == 2000
    assert len(files(tmp_path)) == 2000
    assert put(BlobStore(tmp_path, 100, 2001 * BLOCK), b"one more") == 8


def test_the_same_blob_twice_is_charged_once(store: BlobStore, tmp_path: Path) -> None:
    put(store, b"same")
    put(store, b"same")
    assert store.charged == BLOCK
    assert files(tmp_path) == [f"blobs/{sha(b'same')}"]


def test_the_same_blob_from_eight_threads(store: BlobStore, tmp_path: Path) -> None:
    data = b"y" * 3000
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: put(store, data), range(8))) == [3000] * 8
    assert store.charged == BLOCK
    assert files(tmp_path) == [f"blobs/{sha(data)}"]


def test_reopening_counts_what_is_there_and_sweeps_what_is_unfinished(store: BlobStore, tmp_path: Path) -> None:
    put(store, b"z" * 5000)
    store.upload(sha(b"never ends")).write(b"never")
    again = BlobStore(tmp_path, 10_000, 10 * BLOCK)
    assert again.charged == 2 * BLOCK
    assert files(tmp_path) == [f"blobs/{sha(b'z' * 5000)}"]


@pytest.mark.parametrize("name", ["", "..", "../x", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/etc/passwd"])
def test_a_name_that_is_no_digest_is_never_a_path(store: BlobStore, name: str) -> None:
    assert name not in store
    with pytest.raises(KeyError):
        store.path(name)
    with pytest.raises(ValueError, match="SHA-256"):
        store.upload(name)


def test_full_disk_is_ours_and_leaves_nothing(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull, match="run folder"):
        put(store, b"data")
    assert files(tmp_path) == []
    assert store.charged == 0
