"""The engine's answers, as our errors. What it does with containers is tested in tests/containers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
import requests

from curation_sandbox import engine
from curation_sandbox.errors import (
    ContainerFailed,
    ContainerGone,
    CurationError,
    DiskFull,
    EngineTooOld,
    EngineUnavailable,
    ImageMissing,
)


@pytest.mark.parametrize("version", ["20.10.0", "20.10.24+dfsg1", "28.2.2", "27.0.0-rc.1", "29.1"])
def test_versions_that_do(version: str) -> None:
    engine.check_version(version)


@pytest.mark.parametrize("version", ["19.03.15", "20.9", "1.13.1", "18.09.1-ce"])
def test_versions_that_do_not(version: str) -> None:
    with pytest.raises(EngineTooOld, match=version.replace(".", r"\.")) as caught:
        engine.check_version(version)
    assert "20.10" in caught.value.message


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable, match=r"none\.sock") as caught:
        engine.connect()
    assert caught.value.hint


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[Path]:
    """A socket where somebody listens who hangs up at once."""
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def hang_up() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                return

        threading.Thread(target=hang_up, daemon=True).start()
        yield path
        server.shutdown(socket.SHUT_RDWR)


def test_something_else_answers(mute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{mute}")
    with pytest.raises(EngineUnavailable, match=r"mute\.sock"):
        engine.connect()


def api_error(explanation: str, status: int = 500) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("500 Server Error", response, explanation)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (docker.errors.ImageNotFound("gone"), ImageMissing),
        (api_error("No such image: x:latest", 404), ImageMissing),
        (api_error("write /var/lib/x: no space left on device"), DiskFull),
        (api_error("OCI runtime create failed: …"), ContainerFailed),
        (api_error("No such container: abc", 404), ContainerGone),
        (docker.errors.DockerException("broken"), EngineUnavailable),
        (requests.exceptions.ConnectionError("refused"), EngineUnavailable),
        (requests.exceptions.ChunkedEncodingError("ended prematurely"), EngineUnavailable),
        (ConnectionResetError("reset"), EngineUnavailable),
    ],
)
def test_errors_become_ours(error: Exception, wanted: type[CurationError]) -> None:
    with pytest.raises(CurationError) as caught, engine.translated("do the thing"):
        raise error
    assert type(caught.value) is wanted
    assert "do the thing" in caught.value.message
    assert caught.value.hint
    assert caught.value.__cause__ is error


def test_a_bug_of_ours_passes_untouched() -> None:
    with pytest.raises(KeyError), engine.translated("do the thing"):
        raise KeyError("x")


def test_where_the_engine_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    assert engine.address() == "tcp://10.0.0.1:2376"
    monkeypatch.delenv("DOCKER_HOST")
    assert engine.address().startswith("unix:///")
