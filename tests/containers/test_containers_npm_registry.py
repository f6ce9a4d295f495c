"""npm's packages come from the registry of this machine, with its credential, and are what the lock says.

The registry is a real one for one package, on this machine's loopback; the build runs npm as the agents' images do.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from image_shell import in_image

from curation_sandbox import image_builder, image_files, images
from curation_sandbox.engine import Engine
from curation_sandbox.errors import ImageBuildFailed
from curation_sandbox.image_files import BASE

TOKEN: Final = f"npm-{uuid.uuid4().hex}"
# npm's own scripts would run at its install; ours leave a mark if they do.
PACKAGE: Final = {"name": "hello", "version": "1.0.0", "scripts": {"postinstall": "touch $INIT_CWD/script-ran"}}


def tarball(word: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (("package.json", json.dumps(PACKAGE)), ("hello.txt", word)):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


GOOD: Final = tarball("hello\n")
INTEGRITY: Final = "sha512-" + base64.b64encode(hashlib.sha512(GOOD).digest()).decode()


class Registry(ThreadingHTTPServer):
    """A registry that wants a token and has one package."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = content
        self.refused = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        host = f"http://{self.server.address}"
        dist = {"tarball": f"{host}hello/-/hello-1.0.0.tgz", "integrity": INTEGRITY}
        about = {"name": "hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**PACKAGE, "dist": dist}}}
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.server.refused += not allowed
        self.send_response(200 if allowed else 401)
        self.end_headers()
        if allowed:
            self.wfile.write(self.server.content if self.path.endswith(".tgz") else json.dumps(about).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal of a test."""


@pytest.fixture
def package_image(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An image made like Codex's, with one small package in Codex's place."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "images" / name
    folder.mkdir(parents=True)
    for shared in (BASE, "steps"):
        shutil.copytree(image_files.FOLDER / shared, tmp_path / "images" / shared)
    dockerfile = (image_files.FOLDER / "codex" / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(dockerfile.replace("source=codex", f"source={name}"))
    (folder / "install.sh").write_text("cp -R /dev/shm/fetched/node_modules/hello /opt/hello; ls /dev/shm/fetched\n")
    dependencies = {"dependencies": {"hello": "1.0.0"}}
    (folder / "package.json").write_text(json.dumps({"name": name, **dependencies}))
    packages = {
        "": {"name": name, **dependencies},
        "node_modules/hello": {"version": "1.0.0", "integrity": INTEGRITY},
    }
    lock = {"name": name, "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    monkeypatch.setattr(image_files, "FOLDER", tmp_path / "images")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield name
    engine.remove_image(image_files.tag_of(name))


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry, and this machine told of it as its user would tell npm."""
    with Registry(getattr(request, "param", GOOD)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        npmrc = tmp_path / "npmrc"
        npmrc.write_text(f"registry=http://{server.address}\n//{server.address}:_authToken=${{NPM_TOKEN}}\n")
        monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(npmrc))
        monkeypatch.setenv("NPM_TOKEN", TOKEN)
        yield server
        server.shutdown()


def test_package_comes_from_this_machines_registry_and_leaves_no_trace_of_it(
    registry: Registry, package_image: str, engine: Engine, tmp_path: Path
) -> None:
    lines: list[str] = []
    images.build([package_image], lines.append)
    assert registry.refused == 0
    assert in_image(package_image, "cat /opt/hello/hello.txt") == "hello\n"
    told = "\n".join(lines)
    assert "script-ran" not in told
    assert TOKEN not in told
    tag = image_files.tag_of(package_image)
    history = [image_builder.client(), "history", "--no-trunc", tag]
    kept = subprocess.run(history, capture_output=True, text=True, check=True).stdout
    kept += json.dumps(engine.inspect_image(tag)) + in_image(package_image, "cd /opt/hello && grep -r . . || true")
    assert TOKEN not in kept
    assert registry.address not in kept


@pytest.mark.parametrize("registry", [tarball("other\n")], indirect=True, ids=["other-bytes"])
def test_registry_with_other_bytes_than_the_lock_is_refused(registry: Registry, package_image: str) -> None:
    with pytest.raises(ImageBuildFailed, match="EINTEGRITY") as caught:
        images.build([package_image], lambda line: None)
    assert caught.value.hint is not None
    assert "other bytes" in caught.value.hint
    assert not re.search(TOKEN, caught.value.message)
