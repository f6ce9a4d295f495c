"""Downloads against a real server on loopback: whole, broken, changed, too large for the disk."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from huggingface_hub import hf_hub_download

from curation_plugins.errors import ConfigInvalid, DownloadDamaged, DownloadFailed
from curation_plugins.hub import transfer
from curation_plugins.hub.archives import unpack
from curation_plugins.hub.listing import RemoteFile, list_files
from curation_plugins.hub.store import Store
from curation_plugins.hub.wanted import HubSource, UrlSource, Want
from curation_sandbox.errors import DiskFull
from hub_bench import COMMIT, Hub, serving

WEIGHTS = os.urandom(3_000_000)
CONFIG = b'{"model_type": "llava"}'
REPO = "owner/model"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as server:
        server.models[REPO] = {"model.safetensors": WEIGHTS, "config.json": CONFIG, "weights.bin": b"other format"}
        server.files["table.tsv"] = WEIGHTS
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(transfer, "time", _NoWaiting)
        yield server


class _NoWaiting:
    @staticmethod
    def sleep(seconds: float) -> None:
        return


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, timeout=10) as made:
        yield made


def model(**changes: object) -> Want:
    source = HubSource(repo=REPO, files=("*.json", "*.safetensors"), **changes)  # type: ignore[arg-type]
    return Want(name="model", what="base model", source=source)


def table(hub: Hub, **changes: object) -> Want:
    source = UrlSource(url=hub.url("table.tsv"), **changes)  # type: ignore[arg-type]
    return Want(name="benchmark-X", what="benchmark X", source=source)


def silent(want: Want, what: str, have: int, total: int | None) -> None:
    return


# -- whole ---------------------------------------------------------------------------------------------------------


def test_a_repository_is_fetched_at_the_commit_the_branch_had(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.missing([model()]) == [model()]
    known = store.fetch(model(), client, silent)
    content = store.content(model())
    assert content is not None
    assert {path.name for path in content.iterdir()} == {"model.safetensors", "config.json"}
    assert (content / "model.safetensors").read_bytes() == WEIGHTS
    assert known.revision == COMMIT
    assert known.files["config.json"].sha256 == hashlib.sha256(CONFIG).hexdigest()
    assert store.missing([model()]) == []


def test_what_is_here_is_not_asked_for_again(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    Store(tmp_path).fetch(model(), client, silent)
    hub.asked.clear()
    Store(tmp_path).fetch(model(), client, silent)
    assert hub.asked == []


def test_two_tasks_share_a_source_and_another_revision_is_another_source() -> None:
    assert model().key == model(bytes=5).key
    assert model().key != model(revision=COMMIT).key


def test_progress_tells_bytes_of_all_files(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    Store(tmp_path).fetch(model(), client, lambda want, what, have, total: told.append((have, total)))
    assert told[-1] == (len(WEIGHTS) + len(CONFIG), len(WEIGHTS) + len(CONFIG))
    assert [have for have, _ in told] == sorted(have for have, _ in told)


def test_a_file_of_a_web_server_is_held_against_its_md5(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    good = table(hub, md5=hashlib.md5(WEIGHTS).hexdigest())
    assert Store(tmp_path).fetch(good, client, silent).files["table.tsv"].size == len(WEIGHTS)
    with pytest.raises(DownloadDamaged, match="MD5"):
        Store(tmp_path).fetch(table(hub, md5="0" * 32), client, silent)
    assert not list((tmp_path / "downloads").rglob("*.part"))


def test_the_server_of_these_tests_speaks_to_the_hubs_own_client(hub: Hub, tmp_path: Path) -> None:
    path = hf_hub_download(REPO, "model.safetensors", endpoint=hub.address, local_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS


# -- broken --------------------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_stopped(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.break_after["model.safetensors"] = [1_500_000, 700_000]
    store = Store(tmp_path)
    store.fetch(model(), client, silent)
    content = store.content(model())
    assert content is not None
    assert (content / "model.safetensors").read_bytes() == WEIGHTS
    first, *later = [int(r.removeprefix("bytes=").rstrip("-") or 0) for r in hub.fetched("model.safetensors")[1::2]]
    assert first == 0
    assert len(later) == 2
    assert later == sorted(later)
    assert later[0] > 0


def test_a_given_up_download_goes_on_in_the_next_process(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.break_after["table.tsv"] = [1_200_000, *[0] * transfer.RETRIES]
    with pytest.raises(DownloadFailed) as failed:
        Store(tmp_path).fetch(table(hub), client, silent)
    assert "goes on where this stopped" in (failed.value.hint or "")
    assert Store(tmp_path).missing([table(hub)])
    hub.asked.clear()
    Store(tmp_path).fetch(table(hub), client, silent)
    assert hub.fetched("table.tsv")[0].startswith("bytes=")


def test_a_file_that_changed_between_two_tries_is_not_glued_together(
    hub: Hub, client: httpx.Client, tmp_path: Path
) -> None:
    hub.faults.break_after["table.tsv"] = [1_200_000, *[0] * transfer.RETRIES]
    with pytest.raises(DownloadFailed):
        Store(tmp_path).fetch(table(hub), client, silent)
    newer = os.urandom(2_000_000)
    hub.faults.changed["table.tsv"] = newer
    known = Store(tmp_path).fetch(table(hub), client, silent)
    assert known.files["table.tsv"].sha256 == hashlib.sha256(newer).hexdigest()


def test_without_hash_and_etag_a_piece_is_not_trusted(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.no_etags = True
    hub.faults.break_after["table.tsv"] = [1_200_000]
    Store(tmp_path).fetch(table(hub), client, silent)
    assert hub.fetched("table.tsv") == ["", ""]


def test_a_server_without_ranges_starts_anew(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.no_ranges = True
    hub.faults.break_after["table.tsv"] = [1_200_000]
    known = Store(tmp_path).fetch(table(hub), client, silent)
    assert known.files["table.tsv"].sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_a_rotten_piece_is_thrown_away_once(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    file = RemoteFile(hub.url("table.tsv"), "table.tsv", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    target = tmp_path / "table.tsv"
    (tmp_path / "table.tsv.part").write_bytes(b"x" * 1000)
    transfer.download(file, target, client, lambda here: None)
    assert target.read_bytes() == WEIGHTS
    assert hub.fetched("table.tsv") == ["bytes=1000-", ""]


def test_a_busy_server_is_asked_again(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.busy["table.tsv"] = 3
    Store(tmp_path).fetch(table(hub), client, silent)
    assert Store(tmp_path).missing([table(hub)]) == []


def test_an_interrupted_download_goes_on_where_it_was(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    def interrupt(want: Want, what: str, have: int, total: int | None) -> None:
        if have > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).fetch(model(), client, interrupt)
    hub.asked.clear()
    Store(tmp_path).fetch(model(), client, silent)
    assert hub.fetched("model.safetensors")[0].startswith("bytes=")
    assert hub.fetched("config.json") in ([], ["", ""])


def test_two_fetches_at_once_download_once(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        known = list(threads.map(lambda _: Store(tmp_path).fetch(model(), client, silent), range(2)))
    assert known[0] == known[1]
    assert len(hub.fetched("model.safetensors")) == 2  # the hub's redirect, and the file


# -- wrong ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_content_that_is_not_the_listed_one_is_refused(
    hub: Hub, client: httpx.Client, tmp_path: Path, name: str
) -> None:
    """Large files by SHA-256, small ones by git's hash."""
    true = WEIGHTS if name == "model.safetensors" else CONFIG
    hub.faults.changed[name] = true[:-1] + bytes([true[-1] ^ 1])
    with pytest.raises(DownloadDamaged, match=name):
        Store(tmp_path).fetch(model(), client, silent)
    assert Store(tmp_path).missing([model()])
    assert not [path for path in tmp_path.rglob(f"{name}*") if path.is_file()]


def test_a_hash_in_the_task_counts_more_than_the_hubs_list(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    with pytest.raises(DownloadDamaged, match="0000"):
        Store(tmp_path).fetch(model(sha256={"model.safetensors": "0" * 64}), client, silent)


def test_a_short_file_is_refused(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    hub.faults.changed["model.safetensors"] = WEIGHTS[:-10]
    with pytest.raises(DownloadDamaged, match="bytes instead of"):
        Store(tmp_path).fetch(model(), client, silent)


def test_a_file_that_came_once_must_be_the_same_again(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    """A source without a published hash is held against what was recorded when it came first."""
    store, want = Store(tmp_path), table(hub)
    store.fetch(want, client, silent)
    shutil.rmtree(store.folder(want) / "files")
    hub.faults.changed["table.tsv"] = WEIGHTS[::-1]
    with pytest.raises(DownloadDamaged, match="SHA-256"):
        store.fetch(want, client, silent)
    assert store.missing([want])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (HubSource(repo="owner/nothing"), "does not list owner/nothing"),
        (HubSource(repo=REPO, revision="v9"), "does not list owner/model at v9"),
        (HubSource(repo="owner/gated"), "accepted its terms"),
        (HubSource(repo=REPO, files=("*.gguf",)), "has no file"),
        (HubSource(repo=REPO, sha256={"absent.bin": None}), "absent.bin"),
    ],
)
def test_what_the_hub_does_not_give_is_named(
    hub: Hub, client: httpx.Client, tmp_path: Path, source: HubSource, says: str
) -> None:
    hub.models["owner/gated"] = {"a": b"b"}
    hub.gated.add("owner/gated")
    with pytest.raises(DownloadFailed, match=says):
        Store(tmp_path).fetch(Want(name="x", what="x", source=source), client, silent)


def test_a_hub_that_cannot_be_reached_is_told(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(DownloadFailed, match="does not list owner/model at main") as caught:
        Store(tmp_path).fetch(Want(name="x", what="x", source=HubSource(repo=REPO)), client, silent)
    assert "network" in str(caught.value.hint)


def test_the_hub_s_offline_switch_is_named_and_no_command(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE is set") as caught:
        Store(tmp_path).fetch(Want(name="x", what="x", source=HubSource(repo=REPO)), client, silent)
    assert caught.value.hint == "Unset it for this command."


def test_an_address_that_is_gone_is_named_at_once(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    gone = Want(name="x", what="x", source=UrlSource(url=hub.url("gone.zip")))
    with pytest.raises(DownloadFailed, match="404"):
        Store(tmp_path).fetch(gone, client, silent)
    assert len(hub.fetched("gone.zip")) == 1


# -- the disk ------------------------------------------------------------------------------------------------------


def test_a_source_larger_than_the_disk_is_refused_before_the_first_byte(
    hub: Hub, client: httpx.Client, tmp_path: Path
) -> None:
    hub.faults.listed_size["model.safetensors"] = 10**16
    with pytest.raises(DiskFull, match="base model needs"):
        Store(tmp_path).fetch(model(), client, silent)
    assert hub.fetched("model.safetensors") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_meanwhile_is_told(hub: Hub, client: httpx.Client, tmp_path: Path) -> None:
    store = Store(tmp_path)
    part = store.folder(table(hub)) / "files" / "table.tsv.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"table\.tsv did not fit") as full:
        store.fetch(table(hub), client, silent)
    assert "CURATION_CACHE" in (full.value.hint or "")
    part.unlink()
    store.fetch(table(hub), client, silent)
    assert store.missing([table(hub)]) == []


# -- the user's own ------------------------------------------------------------------------------------------------


def test_a_folder_of_the_users_stands_for_a_source(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.json").write_bytes(CONFIG)
    store = Store(tmp_path / "cache")
    store.adopt(model(), own)
    assert store.content(model()) == own
    assert hub.asked == []
    with pytest.raises(DownloadDamaged, match=r"config\.json is not base model"):
        store.adopt(model(sha256={"config.json": "0" * 64}), own)
    with pytest.raises(ConfigInvalid, match="no such folder"):
        store.adopt(model(), tmp_path / "absent")
    (tmp_path / "cache" / "downloads" / "empty").mkdir()
    with pytest.raises(ConfigInvalid, match=r"holds no \*\.json"):
        store.adopt(model(), tmp_path / "cache" / "downloads" / "empty")


def test_what_was_fetched_counts_again_when_the_users_folder_is_given_up(
    hub: Hub, client: httpx.Client, tmp_path: Path
) -> None:
    store, own = Store(tmp_path / "cache"), tmp_path / "own"
    with pytest.raises(ConfigInvalid, match="no folder or file of yours"):
        store.disown(model())
    fetched = store.fetch(model(), client, silent)
    with pytest.raises(ConfigInvalid, match="no folder or file of yours"):
        store.disown(model())
    own.mkdir()
    (own / "config.json").write_bytes(CONFIG)
    for _ in range(2):
        store.adopt(model(), own)
    assert store.content(model()) == own
    store.disown(model())
    assert store.fetched(model()) == fetched
    assert (own / "config.json").exists()


def test_one_file_of_the_users_stands_for_a_repository_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "mix.json").write_bytes(CONFIG)
    source = HubSource(repo="owner/pool", type="dataset", files=("mix.json",))
    want, store = Want(name="annotations", what="rows", source=source), Store(tmp_path / "cache")
    store.adopt(want, tmp_path / "mix.json")
    known = store.fetched(want)
    assert known is not None
    assert list(known.files) == ["mix.json"]
    assert store.content(want) == tmp_path


# -- archives, secrets ---------------------------------------------------------------------------------------------


def _zip_of(names: dict[str, bytes], *, change: Callable[[bytearray], None] = lambda data: None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    made = bytearray(out.getvalue())
    change(made)
    return bytes(made)


def _rotten(data: bytearray) -> None:
    data[40] ^= 255


def _encrypted(data: bytearray) -> None:
    for flags in (6, data.index(b"PK\x01\x02") + 8):
        data[flags] |= 1


def _deflate64(data: bytearray) -> None:
    for method in (8, data.index(b"PK\x01\x02") + 10):
        data[method] = 9


def _tar_gz(*, rot: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(NOISE)
        archive.addfile(member, io.BytesIO(NOISE))
    made = bytearray(out.getvalue())
    made[rot] ^= 1
    return bytes(made)


NOISE = random.Random(0).randbytes(20_000)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_zip_of({"a.jpg": NOISE[:100] * 200}, change=_rotten), id="rotten in the middle"),
        pytest.param(_zip_of({"a.jpg": b"x" * 99}, change=_encrypted), id="encrypted"),
        pytest.param(_zip_of({"a.jpg": b"x" * 99}, change=_deflate64), id="unknown compression"),
        pytest.param(_zip_of({"a": b"x", "a/b": b"y"}), id="folder in a file's place"),
        pytest.param(_zip_of({"a/b": b"x", "a": b"y"}), id="file in a folder's place"),
        pytest.param(_zip_of({"a" * 300: b"x"}), id="name too long"),
        pytest.param(_tar_gz(rot=10_000), id="tar.gz, content"),
        pytest.param(_tar_gz(rot=-5), id="tar.gz, checksum"),
        pytest.param(_tar_gz(rot=10_000)[:9_000], id="tar.gz, half of it"),
    ],
)
def test_a_damaged_archive_is_told_and_leaves_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(data)
    with pytest.raises(DownloadDamaged, match="cannot be unpacked"):
        unpack(tmp_path / "images.zip", tmp_path / "images", lambda done: None)
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_is_unpacked_and_its_links_are_refused(tmp_path: Path, mode: str) -> None:
    (tmp_path / "picture.jpg").write_bytes(b"picture")
    with tarfile.open(tmp_path / "good.tar", mode) as archive:  # type: ignore[call-overload]
        archive.add(tmp_path / "picture.jpg", "images/picture.jpg")
    assert unpack(tmp_path / "good.tar", tmp_path / "good", lambda done: None) == 1
    assert (tmp_path / "good/images/picture.jpg").read_bytes() == b"picture"
    (tmp_path / "link").symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.add(tmp_path / "link", "images/link.jpg")
    with pytest.raises(DownloadDamaged, match="no plain file"):
        unpack(tmp_path / "bad.tar", tmp_path / "bad", lambda done: None)
    assert not (tmp_path / "bad").exists()


def test_a_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    listing = list_files(model().source, client)
    assert all(file.headers["authorization"] == "Bearer hf_secret" for file in listing.files)
    assert "hf_secret" not in repr(listing)
    assert list_files(table(hub).source, client).files[0].headers == {}
    Store(tmp_path).fetch(model(), client, silent)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]
