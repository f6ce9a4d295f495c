"""``harness fetch`` and what a launch and a dry run say of files that were not fetched."""

from __future__ import annotations

import json
import shutil
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_bench import Cli, make_cli
from curation_harness import fetch, provenance
from curation_harness.errors import OptionInvalid, RunFolderUnusable
from curation_harness.planning import estimates, machine
from curation_harness.planning import plan as plans
from curation_harness.planning.plan import LaunchOptions
from curation_plugins import config
from curation_plugins.errors import AssetsInvalid, AssetsMissing, ConfigInvalid, DownloadDamaged
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


def test_fetch_wants_the_room_that_the_dry_run_tells(
    cli: Cli, hub: Hub, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    """Unpacking and rows included; what came already is not counted again."""
    pool = tree(hub)["assets"]["pool"]
    pool["annotations"]["bytes"] = 2**30
    pool["images"]["coco/train2017"]["source"]["bytes"] = 20 * 2**30
    given = [*over(hub), "--set", f"assets.pool={json.dumps(pool)}"]
    shown = json.loads(cli("launch", "--dry-run", "--task", "llava", "--agent", "nop", "--json", *given).out)
    estimates = shown["plan"]["estimates"]
    assert estimates["disk_left_bytes"] == estimates["disk_bytes"] == 2 * (20 + 1) * 2**30 + 5000
    free = types.SimpleNamespace(free=estimates["disk_left_bytes"] + 2**30 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    told = cli("fetch", "llava", *given)
    assert told.code == DiskFull.exit_code
    assert hub.asked == []
    assert (
        "task llava needs about 42.0 GiB (21.0 GiB to download, 20.0 GiB to unpack, 1.0 GiB for rows;"
        " 2 thing(s) of unknown size come on top)"
    ) in " ".join(told.err.split())
    assert "43.0 GiB free, of which 1.0 GiB is kept free" in told.err
    assert "Free some, or export CURATION_CACHE=/another/disk" in told.err
    free.free += 1
    assert cli("fetch", "llava", *given).code == 0

    (part,) = cli.cache.glob("downloads/model-*/")
    (part / "fetched.json").unlink()
    shutil.rmtree(next(cli.cache.glob("assets/llava-*/")))
    chosen = registry.tasks.get("llava")
    chosen = chosen.with_config(config.override(chosen.config, given[1::2]))
    left = fetch.room(chosen, cli.cache)
    assert (left.download, left.unpack, left.unknown) == (5000, 0, 0)
    (part / "files" / "model.safetensors.part").write_bytes(bytes(4000))
    assert fetch.room(chosen, cli.cache).download == 1000


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


def test_own_folders_are_looked_into_shown_and_given_up(cli: Cli, hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own[1]" / "train2017"
    own.mkdir(parents=True)
    (own.parent / "readme.txt").write_text("no image")
    name = "images-coco-train2017"
    for given in (own.parent, own):
        told = cli("fetch", "llava", *over(hub), "--list", "--have", f"{name}={given}")
        assert told.code == ConfigInvalid.exit_code
        assert "there is no image in it, nor under train2017" in told.err
    (own / "000000033471.JPG").write_bytes(png(200))
    told = cli("fetch", "llava", *over(hub), "--list", "--have", f"{name}={own.parent}")
    assert told.code == 0
    assert f"yes, yours: {own.parent}" in told.out
    shown = json.loads(cli("fetch", "llava", *over(hub), "--list", "--json").out)
    assert {piece["name"]: piece["own"] for piece in shown["pieces"]}[name] == str(own.parent)
    assert cli("fetch", "llava", *over(hub), "--list", "--have", f"{name}={own}").code == 0
    (own.parent / "gone").mkdir()
    own.rename(own.parent / "gone" / "train2017")
    assert f"no: yours, {own}, is gone" in cli("fetch", "llava", *over(hub), "--list").out

    assert cli("fetch", "llava", *over(hub), "--list", "--have", f"{name}=").code == 0
    assert "yours" not in cli("fetch", "llava", *over(hub), "--list").out
    told = cli("fetch", "llava", *over(hub), "--list", "--have", f"{name}=")
    assert told.code == ConfigInvalid.exit_code
    assert "no folder or file of yours" in told.err


def test_an_own_model_without_all_its_weights_is_refused_before_anything_is_fetched(
    cli: Cli, hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    told = cli("fetch", "llava", *over(hub), "--have", f"model={tmp_path}")
    assert told.code == AssetsInvalid.exit_code
    assert "has no model.safetensors" in told.err
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "one.safetensors").write_bytes(b"w")
    told = cli("fetch", "llava", *over(hub), "--have", f"model={tmp_path}")
    assert told.code == AssetsInvalid.exit_code
    assert "has no two.safetensors" in told.err
    assert hub.asked == []
    (tmp_path / "two.safetensors").write_bytes(b"w")
    assert cli("fetch", "llava", *over(hub), "--list", "--have", f"model={tmp_path}").code == 0


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
    for word in (
        "16 of 16 are missing; `harness fetch llava` brings them",
        "disk (files and run)",
        "1 × A100",
        "here: none",
        "ocr_vqa",
        "without 7 thing(s)",
        "arXiv",
    ):
        assert word in told.out
    (cards,) = [line for line in told.out.splitlines() if line.startswith("accelerators MISSING")]
    assert "Use a machine with one card of 113.9 GiB or more" in cards
    for name in ("lora", "full-80gb", "full-fsdp4"):
        assert f"--set recipe.extends=llava-1.5-{name} (" in cards
    assert "grouped" not in cards
    assert "qwen" not in cards
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


def test_a_dry_run_repeats_what_was_set_and_shows_what_applies(cli: Cli) -> None:
    judge = ("evaluation.judge.model=some judge", "evaluation.judge.base_url=http://h/v1")
    lora = "recipe.extends=llava-1.5-lora"
    words = [word for text in (*judge, lora) for word in ("--set", text)]
    told = cli("launch", "--dry-run", "--task", "llava", "--agent", "nop", *words).out
    assert f"`harness fetch llava --set '{judge[0]}' --set {judge[1]} --set {lora}` brings them" in told
    assert "judge (model some judge, base_url http://h/v1)" in told
    assert "lora (rank 128, alpha 256, dropout 0.05, train_head no)" in told
    told = cli("launch", "--dry-run", "--task", "llava", "--agent", "nop").out
    (recipe,) = [line for line in told.splitlines() if line.startswith("recipe ")]
    assert "tuning full" in recipe
    assert "lora" not in recipe
    assert "{" not in told


def test_a_machine_without_the_cards_a_task_needs_is_refused(registry: Registry, tmp_path: Path) -> None:
    """And one with them is not; what processors can train in minutes needs none."""

    def require(slots: str, *settings: str) -> None:
        options = LaunchOptions(
            task="llava",
            agent="nop",
            scaffold="open",
            runs=tmp_path / "runs",
            cache=tmp_path / "cache",
            overrides=("limits.cpus=1", "limits.workspace_size=16m", "limits.home_size=1m", *settings),
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
    told = cli(command, "llava", "--set", "benchmarks=[MMStar]", "--set", "evaluation.backend=transformers")
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
