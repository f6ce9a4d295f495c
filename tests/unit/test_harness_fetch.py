"""``harness fetch`` and what a launch and a dry run say of files that were not fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_bench import Cli, make_cli
from curation_harness import estimates, machine, provenance
from curation_harness import plan as plans
from curation_harness.errors import OptionInvalid, RunFolderUnusable
from curation_harness.plan import LaunchOptions
from curation_plugins.errors import AssetsMissing, DownloadDamaged
from curation_plugins.registry import Registry
from curation_sandbox.errors import DiskFull
from fetched_task import put_on, tree
from hub_bench import Hub, serving
from made_benchmarks import png


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    return make_cli(tmp_path, monkeypatch, capfd)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving() as server:
        put_on(server, tmp_path)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def over(hub: Hub) -> list[str]:
    """The task `llava` over stand-ins."""
    assets = tree(hub)["assets"]
    settings = {f"assets.{key}": assets[key] for key in ("model", "pool", "benchmark_files")}
    settings["benchmarks"] = ["MMStar"]
    return [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def test_a_task_is_fetched_made_and_listed(cli: Cli, hub: Hub) -> None:
    before = cli("fetch", "llava", "--list", *over(hub))
    assert before.code == 0
    assert "is not made yet" in before.out
    assert before.out.count(" no ") == 5

    told = cli("fetch", "llava", *over(hub))
    assert told.code == 0, told.err
    assert "is complete" in told.out
    assert told.out.count(" yes ") == 5
    assert "rows of Made pool: mix.json" in told.err

    hub.asked.clear()
    again = cli("fetch", "llava", "--verify", "--json", *over(hub))
    shown = json.loads(again.out)
    assert shown["made"] is True
    assert {piece["name"] for piece in shown["pieces"]} == {
        "annotations",
        "images-coco-train2017",
        "images-vg-VG_100K",
        "model",
        "benchmark-MMStar",
    }
    assert hub.asked == []


def test_a_launch_names_everything_that_is_missing_before_anything_else(cli: Cli, hub: Hub) -> None:
    told = cli("launch", "--task", "llava", "--agent", "nop", *over(hub))
    assert told.code == AssetsMissing.exit_code
    assert told.err.count("error: ") == 1
    for word in ("rows of Made pool", "images vg/VG_100K", "base model owner/model (about 4.9 KiB)", "MMStar"):
        assert word in told.err
    assert "`harness fetch llava`" in told.err
    assert cli.left_behind() == []
    cli("fetch", "llava", *over(hub))
    told = cli("launch", "--task", "llava", "--agent", "nop", *over(hub))
    assert told.code != AssetsMissing.exit_code


def test_a_fetch_that_fails_is_one_message_and_goes_on_later(cli: Cli, hub: Hub) -> None:
    hub.faults.changed["model.safetensors"] = b"v" * 5000
    told = cli("fetch", "llava", *over(hub))
    assert told.code == DownloadDamaged.exit_code
    assert told.err.count("error: ") == 1
    assert "model.safetensors is not what was wanted" in told.err
    hub.faults.changed.clear()
    hub.asked.clear()
    assert cli("fetch", "llava", *over(hub)).code == 0
    assert hub.fetched("mix.json") == []


def test_a_disk_too_small_is_told_before_the_first_byte(cli: Cli, hub: Hub) -> None:
    model = {**tree(hub)["assets"]["model"], "bytes": 10**16}
    told = cli("fetch", "llava", *over(hub), "--set", f"assets.model={json.dumps(model)}")
    assert told.code == DiskFull.exit_code
    assert "CURATION_CACHE" in told.err
    assert hub.asked == []


def test_own_folders_are_taken_and_wrong_names_refused(cli: Cli, hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own" / "train2017"
    own.mkdir(parents=True)
    (own / "000000033471.jpg").write_bytes(png(200))
    told = cli("fetch", "llava", *over(hub), "--have", f"images-coco-train2017={own.parent}")
    assert told.code == 0, told.err
    assert hub.fetched("train2017.zip") == []
    (linked,) = cli.cache.glob("assets/*/pool/images/coco/train2017/*")
    assert linked.read_bytes() == png(200)
    told = cli("fetch", "llava", *over(hub), "--have", "image=x")
    assert "wants nothing of that name" in told.err
    assert "images-coco-train2017" in told.err


def test_a_task_that_is_made_here_needs_nothing(cli: Cli) -> None:
    told = cli("fetch", "probe", "--json")
    assert told.code == 0
    assert json.loads(told.out)["pieces"] == []


def test_a_dry_run_tells_what_it_takes_and_whether_this_machine_has_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_gpus", lambda: ())
    provenance.hardware.cache_clear()
    told = cli("launch", "--dry-run", "--task", "llava", "--agent", "nop")
    assert told.code == 1
    for word in ("16 of 16 are missing", "1 × A100", "here: none", "ocr_vqa", "without 7 thing(s)", "arXiv"):
        assert word in told.out
    shown = json.loads(cli("launch", "--dry-run", "--task", "llava", "--agent", "nop", "--json").out)
    plan = shown["plan"]["estimates"]
    assert plan["train_seconds"][0] < plan["train_seconds"][1]
    assert plan["disk_left_bytes"] == plan["disk_bytes"]
    monkeypatch.setattr(provenance, "_gpus", lambda: ("NVIDIA H200, 143771 MiB, 570.86",))
    monkeypatch.setenv("CURATION_SLOTS", "gpu-0")
    provenance.hardware.cache_clear()
    assert estimates.cards()[0].memory == 143771 * 2**20
    shown = json.loads(cli("launch", "--dry-run", "--task", "llava", "--agent", "nop", "--json").out)
    assert {check["what"]: check["holds"] for check in shown["checks"]}["accelerators"] is True
    assert shown["plan"]["estimates"]["train_seconds"][0] < plan["train_seconds"][0] / 3
    four = ("--set", "recipe.extends=llava-1.5-full-fsdp4")
    shown = json.loads(cli("launch", "--dry-run", "--task", "llava", "--agent", "nop", "--json", *four).out)
    assert shown["plan"]["estimates"]["cards"] == 4
    assert "a worker here sees 1" in {check["what"]: check["detail"] for check in shown["checks"]}["accelerators"]
    provenance.hardware.cache_clear()


def test_a_machine_without_the_cards_a_task_needs_is_refused(registry: Registry, tmp_path: Path) -> None:
    """And one with them is not; what processors can train in minutes needs none."""

    def require(slots: str, *settings: str) -> None:
        options = LaunchOptions(
            task="llava",
            agent="nop",
            scaffold="open",
            runs=tmp_path / "runs",
            cache=tmp_path / "cache",
            overrides=("limits.cpus=1", "limits.workspace_size=1m", "limits.home_size=1m", *settings),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CURATION_SLOTS", slots)
            patch.setattr(machine, "free_bytes", lambda folder: 10**15)
            machine.require(plans.make(options, registry))

    with pytest.raises(OptionInvalid, match=r"needs 1 accelerator\(s\), and a worker here sees none"):
        require("cpu-0")
    require("gpu-0")
    fsdp4 = "recipe.extends=llava-1.5-full-fsdp4"
    with pytest.raises(OptionInvalid, match=r"needs 4 accelerator\(s\), and a worker here sees 2"):
        require("gpu-0+1,gpu-2+3", fsdp4)
    require("gpu-0+1+2+3", fsdp4)
    small = {"family": "llava-1.5", "repo": "owner/model", "bytes": 1, "parameters": 1000, "tower": 1}
    require("cpu-0", f"assets.model={json.dumps({**small, 'layers': 1, 'width': 8})}")


@pytest.mark.parametrize("command", ["references", "noise"])
def test_measuring_on_a_machine_without_the_cards_is_refused_before_anything_is_made(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CURATION_SLOTS", "cpu-0")
    told = cli(command, "llava", "--set", "benchmarks=[MMStar]")
    assert told.code == OptionInvalid.exit_code
    assert "needs 1 accelerator(s), and a worker here sees none" in told.err
    assert not (cli.cache / "assets").exists()


def test_a_cache_that_cannot_be_written_is_told(cli: Cli, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.cache.parent / "file").write_text("no folder")
    monkeypatch.setenv("CURATION_CACHE", str(cli.cache.parent / "file"))
    for given in ([], ["--have", f"model={cli.cache.parent}"]):
        told = cli("fetch", "llava", *over(hub), *given)
        assert told.code == RunFolderUnusable.exit_code
        assert "CURATION_CACHE" in told.err


def test_a_small_task_has_no_estimates(cli: Cli) -> None:
    shown = json.loads(cli("launch", "--dry-run", "--task", "probe", "--agent", "nop", "--json").out)
    assert shown["plan"]["estimates"] is None
    assert "accelerators" not in {check["what"] for check in shown["checks"]}
