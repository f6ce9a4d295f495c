"""Parts of the images that need no engine: the load archive, mirrors, pip settings, archives, errors."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation_harness.planning.plan import image_name
from curation_plugins.api import AgentLaunch
from curation_plugins.registry import Registry
from curation_sandbox import apt_sources, bootstrap, image_archive, image_files, images
from curation_sandbox.apt_sources import Source
from curation_sandbox.build_log import BuildLog, failure
from curation_sandbox.build_secrets import certificates, pip_configuration, pip_settings
from curation_sandbox.errors import (
    CurationError,
    DiskFull,
    EngineUnavailable,
    ImageBuildFailed,
    ImageMissing,
)
from curation_sandbox.npm_settings import npm_configuration, npm_settings

# The bootstrapped base


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree.tar"
    path.write_bytes(b"not looked into" * 1000)
    return path


def test_load_archive_is_the_same_bytes_each_time(tree: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    bootstrap.write_archive(tree, first, "a/b:c")
    bootstrap.write_archive(tree, second, "a/b:c")
    assert first.read_bytes() == second.read_bytes()
    tree.write_bytes(b"other")
    bootstrap.write_archive(tree, second, "a/b:c")
    assert first.read_bytes() != second.read_bytes()


def test_load_archive_names_config_and_layer_by_content(tree: Path, tmp_path: Path) -> None:
    layer = hashlib.sha256(tree.read_bytes()).hexdigest()
    assert bootstrap.write_archive(tree, tmp_path / "a.tar", "a/b:c") == layer
    with tarfile.open(tmp_path / "a.tar") as archive:
        contents = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
        assert {member.mtime for member in archive} == {bootstrap.EPOCH}
    (entry,) = json.loads(contents["manifest.json"])
    assert entry["Layers"] == [f"{layer}/layer.tar"]
    assert entry["RepoTags"] == ["a/b:c"]
    config = contents[entry["Config"]]
    assert entry["Config"] == hashlib.sha256(config).hexdigest() + ".json"
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{layer}"]
    assert json.loads(config)["created"] == "2025-08-09T00:00:00Z"
    assert contents[f"{layer}/layer.tar"] == tree.read_bytes()


def test_recipe_follows_the_packages_and_not_their_order() -> None:
    assert bootstrap.recipe(["git", "less"]) == bootstrap.recipe(["less", "git"])
    assert bootstrap.recipe(["git"]) != bootstrap.recipe(["git", "less"])


def test_address_of_a_machines_mirror_is_not_left_in_the_image(tmp_path: Path) -> None:
    own = bootstrap.mmdebstrap_command(["git"], tmp_path / "t", tmp_path / "sources")
    assert any("etc/apt/sources.list" in word for word in own)
    assert own[-1] == str(tmp_path / "sources")
    default = bootstrap.mmdebstrap_command(["git"], tmp_path / "t", None)
    assert not any("etc/apt/sources.list" in word for word in default)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("deb http://a.example/debian x main\n", [Source("http://a.example/debian", "x", ("main",))]),
        (
            "deb [arch=amd64 signed-by=/k] https://a.example/debian/ x main contrib",
            [Source("https://a.example/debian", "x", ("main", "contrib"))],
        ),
        (
            "Types: deb deb-src\n# old\nURIs: http://a.example/debian\nSuites: x x-updates\nComponents: main\n",
            [Source("http://a.example/debian", suite, ("main",)) for suite in ("x", "x-updates")],
        ),
        ("# deb http://a.example/debian x main\n", []),
        ("deb-src http://a.example/debian x main\n", []),
        ("Types: deb-src\nURIs: http://a.example/debian\nSuites: x\nComponents: main\n", []),
        ("Enabled: no\nTypes: deb\nURIs: http://a.example/debian\nSuites: x\n", []),
    ],
)
def test_apt_sources_are_read_in_both_formats(text: str, sources: list[Source]) -> None:
    assert list(apt_sources.parse(text)) == sources


@pytest.fixture
def bookworm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(apt_sources.MIRROR_VARIABLE, raising=False)
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(apt_sources.platform, "freedesktop_os_release", lambda: release)


@pytest.mark.usefixtures("bookworm")
def test_mirror_of_this_machine_is_debians_and_no_vendors(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a-vendor.list").write_text("deb https://vendor.example bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    lines = (apt_sources.debian_sources(tmp_path) or "").splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["http://a.example/debian", "trixie", "main"],
        ["http://a.example/debian-security", "trixie-security", "main"],
    ]


@pytest.mark.usefixtures("bookworm")
def test_mirror_is_left_to_the_tools_where_none_is_known(tmp_path: Path) -> None:
    assert apt_sources.debian_sources(tmp_path) is None


def test_mirror_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(apt_sources.MIRROR_VARIABLE, "http://mine.example/debian")
    found = apt_sources.debian_sources(tmp_path)
    assert found is not None
    assert found.endswith("http://mine.example/debian trixie main\n")


# What a build is lent


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
    assert certificates({}, {}, environment) == bundle
    assert certificates({}, {"cafile": str(bundle)}, {}) == bundle
    assert certificates({}, {}, {}) is None


def npm_files(folder: Path, user: str, system: str = "") -> dict[str, str]:
    (folder / "user").write_text(user)
    (folder / "global").write_text(system)
    return {"npm_config_userconfig": str(folder / "user"), "NPM_CONFIG_GLOBALCONFIG": str(folder / "global")}


def test_npm_configuration_keeps_the_way_to_a_registry_and_drops_this_machines_files(tmp_path: Path) -> None:
    environment = npm_files(
        tmp_path,
        "; mine\n# too\nregistry = https://npm.example/\n@a:registry=https://a.example/\n"
        '//npm.example/:_authToken="${TOKEN}"\n//npm.example/:certfile=/etc/mine.pem\n'
        "cafile=/etc/ca.pem\nprefix=/elsewhere\nomit=optional\nignore-scripts=false\nno-equals-sign\n",
    )
    found = npm_settings({**environment, "TOKEN": "t0ken"})
    assert npm_configuration(found).splitlines() == [
        "//npm.example/:_authToken=t0ken",
        "@a:registry=https://a.example/",
        "registry=https://npm.example/",
    ]
    assert found["cafile"] == "/etc/ca.pem"
    assert npm_configuration(npm_settings(npm_files(tmp_path, "omit=optional\n"))) == ""


def test_npm_variables_win_over_the_users_file_and_that_over_the_global_one(tmp_path: Path) -> None:
    files = npm_files(
        tmp_path,
        "registry=https://user.example\nproxy=http://user.example:1\n",
        "registry=https://global.example\nproxy=http://global.example:1\nnoproxy=a.example\n",
    )
    found = npm_settings({**files, "NPM_CONFIG_REGISTRY": "https://env.example", "npm_config_fetch_timeout": "9"})
    assert npm_configuration(found).splitlines() == [
        "fetch-timeout=9",
        "noproxy=a.example",
        "proxy=http://user.example:1",
        "registry=https://env.example",
    ]


def test_npm_line_cannot_bring_a_second_one(tmp_path: Path) -> None:
    """A variable's value with a line break would be a setting that nobody asked for."""
    found = npm_settings(
        {**npm_files(tmp_path, ""), "npm_config_registry": "https://a.example\nignore-scripts=false"}
    )
    assert len(npm_configuration(found).splitlines()) <= 1


# Errors


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("write /x: No space left on device", DiskFull, "docker system df"),
        ("E: Failed to fetch http://m: Could not resolve 'm'", ImageBuildFailed, "cannot be reached"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED: x", ImageBuildFailed, "SSL_CERT_FILE"),
        ("ERROR: BuildKit is enabled but the buildx component is missing", ImageBuildFailed, "buildx"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", ImageBuildFailed, "locked"),
        ("npm error code EINTEGRITY", ImageBuildFailed, "locked"),
        ("npm error code ENOTFOUND", ImageBuildFailed, "npm's own configuration"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", ImageBuildFailed, "SSL_CERT_FILE"),
        ("exit code: 7", ImageBuildFailed, None),
    ],
)
def test_failed_step_says_what_to_do(said: str, kind: type[CurationError], hint: str | None, tmp_path: Path) -> None:
    error = failure("building x", said, tmp_path / "log")
    assert type(error) is kind
    assert str(tmp_path / "log") in error.message
    assert hint in error.hint if hint and error.hint else error.hint is None
    if kind is ImageBuildFailed:
        assert said in error.message


def test_failed_command_gives_last_lines_and_keeps_all_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines: list[str] = []
    log = BuildLog("base", lines.append)
    program = "import sys\nfor i in range(100): print('line', i)\nsys.exit(3)"
    with pytest.raises(ImageBuildFailed) as caught:
        log.run([sys.executable, "-c", program], "counting")
    assert "line 99" in caught.value.message
    assert "line 50" not in caught.value.message
    assert log.path.read_text().splitlines() == lines == [f"line {i}" for i in range(100)]


def test_unknown_image_is_refused_before_the_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "connect", lambda: pytest.fail("engine asked"))
    with pytest.raises(ImageMissing, match=r"bsae.*base"):
        images.build(["bsae"], lambda line: None)


def test_no_engine_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable):
        images.list_images()
    with pytest.raises(EngineUnavailable):
        images.build(["base"], lambda line: None)


# Archives


def test_half_written_archive_is_never_there(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.tar"
    path.write_bytes(b"the old one")
    with pytest.raises(DiskFull):
        image_archive.write_whole(path, pieces())
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_save_to_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="cannot be written"):
        image_archive.write_whole(tmp_path / "no" / "a.tar", [b"x"])


def archive_with(path: Path, manifest: object) -> Path:
    data = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "manifest", [None, [], {}, 7, [{}], [{"RepoTags": None}], [{"RepoTags": [7]}], [[1]], {"a": 1}]
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
    with pytest.raises(CurationError, match="cannot be read"):
        images.load(tmp_path / "none.tar")


# The files that go into an image


def test_inputs_are_an_images_own_files_and_the_shared_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "FOLDER", tmp_path)
    for folder in ("one", "two", "steps"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "Dockerfile").write_text("FROM x")
    first = image_files.inputs_digest("one")
    (tmp_path / "one" / "requirements.in").write_text("only a source of requirements.txt")
    (tmp_path / "two" / "Dockerfile").write_text("another image")
    assert image_files.inputs_digest("one") == first
    seen = {first}
    (tmp_path / "one" / "Dockerfile").rename(tmp_path / "one" / "Other")
    seen.add(image_files.inputs_digest("one"))
    (tmp_path / "one" / "Other").write_text("FROM y")
    seen.add(image_files.inputs_digest("one"))
    (tmp_path / "steps" / "npm.sh").write_text("npm ci")
    seen.add(image_files.inputs_digest("one"))
    assert len(seen) == 4


def test_versions_come_from_the_locks() -> None:
    versions = {name: image_files.versions(image_files.folder_of(name)) for name in image_files.names()}
    assert {"numpy", "pandas", "debian"} <= set(versions["base"])
    assert set(versions["claude-code"]) == {"debian", "claude-code"}
    assert set(versions["codex"]) == {"debian", "codex"}
    assert {"openhands-sdk", "openhands-tools"} <= set(versions["openhands"])
    assert image_files.versions(image_files.FOLDER / "steps") == {}


@pytest.mark.parametrize("name", image_files.names())
def test_dockerfile_needs_neither_a_registry_frontend_nor_heredocs(name: str) -> None:
    text = (image_files.folder_of(name) / "Dockerfile").read_text()
    assert not text.lower().startswith("# syntax")
    assert "<<" not in text


@pytest.mark.parametrize("name", image_files.names())
def test_dockerfile_takes_everything_from_base_and_its_own_stages(name: str) -> None:
    """No registry beyond the one base may come from, and no `ADD` of an address."""
    text = (image_files.folder_of(name) / "Dockerfile").read_text()
    starts = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert starts
    assert set(starts) == {"${BASE_IMAGE}"}
    assert not re.search(r"^ADD|https?://", text, re.MULTILINE)


@pytest.mark.parametrize("lock", sorted(image_files.FOLDER.rglob("*.txt")), ids=str)
def test_every_python_package_is_pinned_with_a_hash(lock: Path) -> None:
    if lock.name == "packages.txt":
        return
    source = lock.with_suffix(".in")
    lines = source.read_text().splitlines() if source.exists() else []
    wanted = {line.partition("==")[0] for line in lines if line and not line.startswith("#")}
    pins = [line.split() for line in lock.read_text().replace("\\\n", " ").splitlines() if not line.startswith("#")]
    assert wanted <= {words[0].partition("==")[0] for words in pins}
    for words in pins:
        assert "==" in words[0]
        assert len(words) > 1, words[0]
        assert all(word.startswith("--hash=sha256:") for word in words[1:])


@pytest.mark.parametrize("name", ["claude-code", "codex"])
def test_every_npm_package_is_pinned_with_a_hash_and_no_address(name: str) -> None:
    folder = image_files.folder_of(name)
    asked = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["dependencies"] == asked
    for package, version in asked.items():
        assert packages[f"node_modules/{package}"]["version"] == version
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
    for cpu in ("x64", "arm64"):
        assert any(package.endswith(f"-linux-{cpu}") for package in packages)


def test_no_lock_names_the_place_it_was_made_at() -> None:
    for path in image_files.FOLDER.rglob("*"):
        if path.is_file():
            assert "://" not in path.read_text(encoding="utf-8"), path


# An agent's image on a task's


@pytest.mark.parametrize(
    "start", ["claude-code", "mine", "mine:1", "mine:2", "Host.example:5000/Me/mine:1", "a" * 200]
)
def test_image_on_another_has_a_tag_of_its_own_that_an_engine_takes(start: str) -> None:
    tag = image_files.tag_of(f"codex+{start}")
    assert re.fullmatch(r"curation-harness/codex:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag)
    others = {"base", "mine", "mine:1", "mine:2", "mine-1"} - {start}
    assert tag not in {image_files.tag_of("codex" if one == "base" else f"codex+{one}") for one in others}
    assert image_files.parts(f"codex+{start}") == ("codex", start)
    assert image_files.folder_of(f"codex+{start}") == image_files.folder_of("codex")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("codex+", "no image 'codex[+]'"),
        ("+codex", "images/ has no ''"),
        ("codex+base", "no image"),
        ("base+codex", "no image"),
        ("codex+codex", "no image"),
        ("codex+claude-code+openhands", "no image"),
        ("codex+--network=host", "no image"),
        ("codex+a b", "no image"),
        ("codex+../etc", "no image"),
        ("someones/agent:1+mine", "images/ has no 'someones/agent:1'"),
    ],
)
def test_name_that_is_no_image_on_another_is_refused(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "connect", lambda: pytest.fail("engine asked"))
    with pytest.raises(ImageMissing, match=words):
        images.build([name], lambda line: None)
    with pytest.raises(ImageMissing, match=words):
        image_files.reference_of(name)


def test_what_is_no_image_on_another_goes_to_the_engine_as_it_is() -> None:
    for name in ("sha256:" + "0" * 64, "someones/task:1"):
        assert image_files.reference_of(name) == name
    assert image_files.reference_of("codex") == image_files.tag_of("codex")


@pytest.mark.parametrize(
    ("own", "under", "name"),
    [
        ("codex", "base", "codex"),
        ("base", "base", "base"),
        ("mine", "mine", "mine"),
        ("base", "mine", "mine"),
        ("codex", "mine", "codex+mine"),
        ("codex", "someones/task:1", "codex+someones/task:1"),
    ],
)
def test_agents_image_is_put_on_the_tasks(own: str, under: str, name: str, registry: Registry) -> None:
    task = registry.tasks.get("probe")
    task = task.with_config(task.config.model_copy(update={"image": under}))
    assert image_name(AgentLaunch(command=("true",), image=own), task) == name
