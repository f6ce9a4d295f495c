"""``harness fetch datacomp-small`` on stand-ins: what a hub has is brought, what only the user can is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_bench import Cli, make_cli
from curation_plugins.errors import AssetsMissing, ConfigInvalid
from downloaded_pool import Download
from fetched_pairs import SETS, put_on, tree
from hub_bench import Hub, serving


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    return make_cli(tmp_path, monkeypatch, capfd)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.fixture
def own(hub: Hub, tmp_path: Path) -> Download:
    return put_on(hub, tmp_path)


def over(*more: str) -> list[str]:
    """The task `datacomp-small` over stand-ins."""
    settings = [f"assets.pool={json.dumps(tree()['assets']['pool'])}", f"benchmarks={json.dumps(SETS)}", *more]
    return [word for text in settings for word in ("--set", text)]


def test_a_pool_is_fetched_indexed_and_launchable(cli: Cli, hub: Hub, own: Download) -> None:
    shards = f"assets.shards={own.shards}"
    before = cli("fetch", "datacomp-small", "--list", *over())
    assert before.code == 0
    listed, _, lacking = before.out.partition("missing, and no fetch brings it: images and captions of Made pool")
    assert listed.count(" no ") == 4
    assert "download_upstream.py" in lacking

    without = cli("fetch", "datacomp-small", *over())
    assert without.code == AssetsMissing.exit_code
    assert without.err.count("error: ") == 1
    assert "--set assets.shards=FOLDER/shards" in without.err

    hub.asked.clear()
    told = cli("fetch", "datacomp-small", *over(shards))
    assert told.code == 0, told.err
    assert "is complete" in told.out
    assert "no fetch brings it" not in told.out
    assert hub.asked == []  # what came before the shards were named is not fetched anew

    launched = cli("launch", "--task", "datacomp-small", "--agent", "nop", *over(shards))
    assert launched.code != AssetsMissing.exit_code  # there is no Docker and no accelerator here
    shown = json.loads(cli("fetch", "datacomp-small", "--json", *over(shards)).out)
    assert shown["made"] is True
    assert shown["lacking"] == []

    own.shards.rename(own.shards.with_name("moved"))
    gone = cli("launch", "--task", "datacomp-small", "--agent", "nop", *over(shards))
    assert gone.code == AssetsMissing.exit_code
    assert f"{own.shards} holds no *.tar" in gone.err


def test_a_launch_names_everything_that_is_missing_at_once(cli: Cli, hub: Hub) -> None:
    told = cli("launch", "--task", "datacomp-small", "--agent", "nop", *over())
    assert told.code == AssetsMissing.exit_code
    assert told.err.count("error: ") == 1
    for word in ("metadata of Made pool", "CLIP features", *SETS, "download_upstream.py", "`harness fetch"):
        assert word in told.err
    assert cli.left_behind() == []
    assert hub.asked == []


def test_the_dry_run_says_what_is_missing_and_what_it_takes(cli: Cli, hub: Hub) -> None:
    told = cli("launch", "--task", "datacomp-small", "--agent", "nop", "--dry-run", *over())
    assert "4 of 4 are missing" in told.out
    assert "missing, and no fetch brings it: images and captions" in told.out
    assert "estimate, time" in told.out
    assert hub.asked == []


def test_a_folder_that_is_not_whole_is_refused(cli: Cli) -> None:
    told = cli("fetch", "datacomp-small", "--list", *over("assets.shards=data/shards"))
    assert told.code == ConfigInvalid.exit_code
    assert "assets.shards" in told.err
