"""Base image parts that need no engine: the load archive, mirrors, pip settings, archives, errors."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from curation_sandbox import bootstrap, docker_cli, images
from curation_sandbox.bootstrap import Bootstrap, _debian_uris
from curation_sandbox.build_secrets import certificates, pip_configuration, pip_settings
from curation_sandbox.docker_cli import Transcript, build_error, docker_error
from curation_sandbox.errors import (
    CurationError,
    DiskFull,
    EngineUnavailable,
    ImageBuildFailed,
    ImageMissing,
)


def load_archive(tar: Path, settings: Bootstrap | None = None) -> bytes:
    out = io.BytesIO()
    bootstrap.write_load_archive(settings or Bootstrap(), tar, out)
    return out.getvalue()


@pytest.fixture
def root_tar(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    path.write_bytes(b"not looked into" * 1000)
    return path


def test_load_archive_is_the_same_bytes_each_time(root_tar: Path) -> None:
    assert load_archive(root_tar) == load_archive(root_tar)


def test_load_archive_names_config_and_layer_by_content(root_tar: Path) -> None:
    layer = hashlib.sha256(root_tar.read_bytes()).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(load_archive(root_tar))) as archive:
        names = archive.getnames()
        contents = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]
        assert {member.mtime for member in archive} == {0}
    (entry,) = json.loads(contents["manifest.json"])
    assert entry["Layers"] == [f"{layer}/layer.tar"]
    assert entry["RepoTags"] == [bootstrap.DEBIAN_IMAGE]
    config = contents[entry["Config"]]
    assert entry["Config"] == hashlib.sha256(config).hexdigest() + ".json"
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{layer}"]
    assert json.loads(config)["created"] == "2025-08-09T00:00:00Z"
    assert contents[f"{layer}/layer.tar"] == root_tar.read_bytes()


def test_load_archive_changes_with_settings_and_with_tar(root_tar: Path) -> None:
    first = load_archive(root_tar)
    assert load_archive(root_tar, Bootstrap(packages=("python3",))) != first
    root_tar.write_bytes(b"other")
    assert load_archive(root_tar) != first


def test_bootstrap_digest_covers_every_setting() -> None:
    settings = [
        Bootstrap(), Bootstrap(suite="sid"), Bootstrap(packages=()),
        Bootstrap(source_date_epoch=1), Bootstrap(clean_up="true"),
    ]  # fmt: skip
    assert len({one.digest() for one in settings}) == len(settings)


def test_private_mirror_is_not_left_in_the_image(tmp_path: Path) -> None:
    private = Bootstrap().command(tmp_path / "t", "http://user:token@mirror.example/debian")
    assert any("sources.list" in word for word in private)
    assert private[-1] == "http://user:token@mirror.example/debian"
    default = Bootstrap().command(tmp_path / "t", None)
    assert not any("etc/apt/sources.list" in word for word in default)


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ("deb http://a.example/debian trixie main\n", ["http://a.example/debian"]),
        ("deb [arch=amd64] https://a.example/debian/ x main contrib", ["https://a.example/debian"]),
        ("Types: deb\nURIs: http://a.example/debian\nSuites: x\n", ["http://a.example/debian"]),
        ("# deb http://a.example/debian trixie main\n# URIs: http://a.example/debian\n", []),
        ("deb-src http://a.example/debian trixie main\n", []),
        ("URIs: http://a.example/debian-security\n", []),
        ("deb https://vendor.example/linux/debian-tools x main\n", []),
        ("deb cdrom:[Debian]/debian x main\n", []),
    ],
)
def test_debian_mirror_is_read_from_both_apt_formats(text: str, uris: list[str]) -> None:
    assert list(_debian_uris(text)) == uris


def test_mirror_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bootstrap.MIRROR_VARIABLE, "http://mine.example/debian/")
    assert bootstrap.debian_mirror() == "http://mine.example/debian"


def test_pip_configuration_keeps_addresses_and_drops_this_machines_files() -> None:
    text = pip_configuration({
        "index-url": "https://index.example/simple",
        "extra-index-url": "file:///opt/simple https://more.example/simple",
        "find-links": "/opt/wheels",
        "target": "/elsewhere",
        "cert": "/etc/mine.pem",
        "default-timeout": "180",
    })  # fmt: skip
    assert text.splitlines() == [
        "[global]",
        "index-url = https://index.example/simple",
        "extra-index-url = https://more.example/simple",
        "timeout = 180",
    ]
    assert pip_configuration({"find-links": "/opt/wheels"}) == ""


def test_pip_variables_win_over_pip_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example\nproxy = http://p.example:1\n")
    found = pip_settings({"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://env.example"})
    assert found["index-url"] == "https://env.example"
    assert found["proxy"] == "http://p.example:1"


def test_certificates_takes_the_first_bundle_that_exists(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    environment = {"PIP_CERT": str(tmp_path / "gone.pem"), "SSL_CERT_FILE": str(bundle)}
    assert certificates({}, environment) == bundle
    assert certificates({}, {}) is None


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("write /x: No space left on device", DiskFull, "docker system df"),
        ("Cannot connect to the Docker daemon at unix:///x", EngineUnavailable, "engine.sh"),
        ("E: Failed to fetch http://m: Could not resolve 'm'", ImageBuildFailed, "cannot be reached"),
        ("SSLError: CERTIFICATE VERIFY FAILED: x", ImageBuildFailed, "SSL_CERT_FILE"),
        ("ERROR: BuildKit is enabled but the buildx component is missing", ImageBuildFailed, "buildx"),
        ("exit code: 7", ImageBuildFailed, None),
    ],
)
def test_build_error_says_what_to_do(
    said: str, kind: type[CurationError], hint: str | None, tmp_path: Path
) -> None:
    error = build_error("building x", said, tmp_path / "log")
    assert type(error) is kind
    assert hint is None or hint in (error.hint or "")
    if kind is ImageBuildFailed:
        assert said in error.message
        assert str(tmp_path / "log") in error.message


def test_docker_error_knows_a_full_disk() -> None:
    assert isinstance(docker_error("load", "write: no space left on device"), DiskFull)
    assert type(docker_error("load", "unexpected EOF")) is CurationError


@pytest.fixture
def transcript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Transcript, list[str]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines: list[str] = []
    return Transcript("base", lines.append), lines


def test_failed_command_gives_last_lines_and_keeps_all_in_the_log(
    transcript: tuple[Transcript, list[str]],
) -> None:
    log, lines = transcript
    program = "import sys\nfor i in range(100): print('line', i)\nsys.exit(3)"
    with pytest.raises(ImageBuildFailed) as caught:
        log.run([sys.executable, "-c", program], {}, what="counting")
    assert "line 99" in caught.value.message
    assert "line 50" not in caught.value.message
    assert str(log.path) in caught.value.message
    assert log.path.read_text().splitlines() == lines == [f"line {i}" for i in range(100)]


def test_feed_reports_a_command_that_ends_before_it_read_everything(
    transcript: tuple[Transcript, list[str]],
) -> None:
    log, _ = transcript
    program = "import sys; print('no space left on device'); sys.exit(1)"
    with pytest.raises(DiskFull):
        log.feed(
            [sys.executable, "-c", program],
            lambda out: out.write(b"x" * 10_000_000) and None,
            what="loading",
        )


# --- names and archives -------------------------------------------------------------------------


def test_unknown_image_is_refused_before_the_engine_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_cli, "docker_command", lambda: pytest.fail("engine asked"))
    with pytest.raises(ImageMissing, match="bsae") as caught:
        images.build(["bsae"], print)
    assert "base" in (caught.value.hint or "")


def test_no_engine_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for call in (images.list_images, lambda: images.resolve(None, "base")):
        with pytest.raises(EngineUnavailable):
            call()
    with pytest.raises(EngineUnavailable):
        images.build(["base"], print)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("a/b:c", ("a/b", "c")),
        ("a/b", ("a/b", "latest")),
        ("host:5000/a", ("host:5000/a", "latest")),
        ("host:5000/a:t", ("host:5000/a", "t")),
    ],
)
def test_split_reference(reference: str, parts: tuple[str, str]) -> None:
    assert images._split(reference) == parts


def test_inputs_digest_covers_names_contents_and_start(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x")
    first = images._inputs_digest(tmp_path, "sha256:1")
    assert images._inputs_digest(tmp_path, "sha256:1") == first
    assert images._inputs_digest(tmp_path, "sha256:2") != first
    (tmp_path / "Dockerfile").rename(tmp_path / "Other")
    renamed = images._inputs_digest(tmp_path, "sha256:1")
    (tmp_path / "Other").write_text("FROM y")
    assert len({first, renamed, images._inputs_digest(tmp_path, "sha256:1")}) == 3


def archive_with(path: Path, manifest: object) -> Path:
    data = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "manifest", [None, [], {}, 7, [{}], [{"RepoTags": None}], [{"RepoTags": ["--input"]}], [[1]]]
)
def test_load_refuses_an_archive_without_tagged_images(tmp_path: Path, manifest: object) -> None:
    with pytest.raises(CurationError, match="no archive of a tagged image"):
        images.load(archive_with(tmp_path / "a.tar", manifest))


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000, b"\x1f\x8b broken gzip"])
def test_load_refuses_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(CurationError, match="no archive of a tagged image"):
        images.load(path)


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="There is no file"):
        images.load(tmp_path / "none.tar")


# --- the files that go into the image -----------------------------------------------------------


def test_dockerfile_needs_neither_a_registry_frontend_nor_heredocs() -> None:
    text = (images.images_folder() / "base" / "Dockerfile").read_text()
    assert not text.lower().startswith("# syntax")
    assert "<<" not in text


def test_bootstrap_brings_what_the_dockerfile_would_install() -> None:
    text = (images.images_folder() / "base" / "Dockerfile").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("ARG PACKAGES="))
    assert tuple(line.split('"')[1].split()) == Bootstrap().packages


def test_every_python_package_is_pinned_with_a_hash() -> None:
    folder = images.images_folder() / "base"
    wanted = {
        line for line in (folder / "requirements.in").read_text().splitlines() if line[:1] not in "#"
    }
    joined = (folder / "requirements.txt").read_text().replace("\\\n", " ")
    pins = [line.split() for line in joined.splitlines() if not line.startswith("#")]
    assert wanted <= {words[0].partition("==")[0] for words in pins}
    for words in pins:
        assert "==" in words[0]
        assert len(words) > 1, words[0]
        assert all(word.startswith("--hash=sha256:") for word in words[1:])
