"""The wheel works where there is no checkout, claims its names alone, and goes with a CPU's and a GPU's torch."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from curation_plugins.methods.library import MethodLibrary

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("curation_sandbox", "curation_plugins", "curation_harness")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


class Installed:
    """The wheel, installed apart from the checkout, with everything it depends on borrowed from here."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder / "site"
        self.away = folder / "away"
        self.away.mkdir()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*command, "--target", str(self.folder), str(wheel)], check=True)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CURATION_")}
        environment |= {
            "PYTHONPATH": str(self.folder),
            "DOCKER_HOST": "unix:///nonexistent",
            "XDG_CACHE_HOME": str(self.away),
        }
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.away, env=environment, capture_output=True, text=True
        )

    def harness(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "curation_harness", *arguments)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_holds_three_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name.split("/")[0]}
    assert tops == set(PACKAGES)
    assert not [name for name in names if "test" in name.lower().split("/")[0] or "__pycache__" in name]
    for package in PACKAGES:
        assert f"{package}/py.typed" in names


def test_it_is_the_wheel_that_runs(installed: Installed) -> None:
    """Else the tests below would look at the checkout."""
    done = installed.python(
        "-c", "import curation_harness as h, curation_sandbox as s; print(h.__file__, s.__file__)"
    )
    assert done.stdout.count(str(installed.folder)) == 2, done.stdout + done.stderr


def test_help_and_lists_work_without_the_checkout(installed: Installed) -> None:
    assert installed.harness("--help").returncode == 0
    for command in ("tasks", "agents", "scaffolds", "engines"):
        done = installed.harness(command, "--json")
        assert done.returncode == 0, done.stderr
        names = {thing["name"] for thing in json.loads(done.stdout)}
        assert names & {"llava-tiny", "baseline", "open", "local"}


def test_a_launch_is_planned_from_the_wheels_own_files(installed: Installed) -> None:
    done = installed.harness("launch", "--dry-run", "--agent", "baseline", "--task", "llava-tiny", "--json")
    tree = json.loads(done.stdout)
    assert tree["plan"]["task"]["name"] == "llava-tiny"
    failed = [check["what"] for check in tree["checks"] if not check["holds"]]
    assert "image" in failed  # there is no engine; everything else was found
    for mount in tree["plan"]["agent"]["mounts"]:
        assert Path(mount["source"]).exists()
        assert str(installed.folder) in mount["source"]


FILES = """
import json
from importlib import resources
from curation_harness.report import html
from curation_plugins.methods.library import MethodLibrary
from curation_plugins.paths import TASKS
from curation_sandbox import image_files
from curation_sandbox.hardening import seccomp_profile
root = resources.files("curation_sandbox")
report = resources.files("curation_harness") / "report" / "templates"
print(json.dumps({
    "tasks": sorted(path.parent.name for path in TASKS.glob("*/task.yaml")),
    "images": list(image_files.names()),
    "packages": image_files.debian_packages(),
    "cards": list(MethodLibrary().cards),
    "seccomp": len(json.loads(seccomp_profile())["syscalls"]),
    "curate": (root / "incontainer" / "curate.py").is_file(),
    "templates": sorted(path.name for path in report.iterdir()),
}))
"""


def test_data_files_are_found(installed: Installed) -> None:
    done = installed.python("-c", FILES)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    here = sorted(path.parent.name for path in (ROOT / "tasks").glob("*/task.yaml"))
    assert found["tasks"] == here
    assert found["images"][0] == "base"
    assert found["packages"]
    assert found["cards"] == list(MethodLibrary().cards)
    assert found["seccomp"] > 0
    assert found["curate"]
    assert found["templates"] == sorted(
        path.name for path in (ROOT / "harness/curation_harness/report/templates").iterdir()
    )


def test_no_other_distribution_claims_our_import_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["curation-harness"])) == {"curation-harness"}


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.13.0+cu130", "2.9.1", "2.6.0+cu124"])
def test_torch_may_be_a_build_for_a_cpu_or_for_cuda(version: str) -> None:
    (torch,) = [
        requirement
        for text in PROJECT["optional-dependencies"]["train"]
        if (requirement := Requirement(text)).name == "torch"
    ]
    assert torch.specifier.contains(version)
    assert torch.url is None
    assert not any(specifier.operator in ("==", "===") for specifier in torch.specifier)


def test_what_everybody_must_install_stays_light() -> None:
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert names.isdisjoint({"torch", "transformers", "vllm", "ray", "open-clip-torch", "scikit-learn"})
