"""What the layers promise: imports one way, no cycles, heavy libraries only where they are used, nouns as names."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LAYERS: Final = {
    "curation_sandbox": ROOT / "sandbox" / "curation_sandbox",
    "curation_plugins": ROOT / "plugins" / "curation_plugins",
    "curation_harness": ROOT / "harness" / "curation_harness",
}
"""Lowest first."""

HEAVY: Final = {
    "docker": ("curation_sandbox.engine",),
    "torch": ("curation_plugins.tasks.",),
    "transformers": ("curation_plugins.tasks.",),
    "peft": ("curation_plugins.tasks.",),
    "open_clip": ("curation_plugins.tasks.",),
    "torchvision": ("curation_plugins.tasks.",),
    "sklearn": ("curation_plugins.tasks.",),
    "pyarrow": ("curation_plugins.tasks.", "curation_plugins.uids.parquet_child"),
    "matplotlib": ("curation_harness.report.figures",),
}
"""Library → where it may be imported (a module, or modules that begin so)."""

OF_A_RUN: Final = ("record", "attempts", "reproduction", "desk", "agent", "run")
"""Packages of the harness that a run goes through, lowest first: calls the other way are handed down."""
BEFORE: Final = {"planning", "launch", "cli"}
AFTER: Final = {"report", "replay", "rerun", "trajectory", "diagnostics", "verification"}
"""What is made of a run's record."""

# Run in the agent's container, by another Python: no module of ours imports these, and they import none.
IN_CONTAINER: Final = ("curation_sandbox.incontainer.", "curation_plugins.agents.programs.")


def modules(package: str) -> dict[str, Path]:
    folder = LAYERS[package]
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(folder.rglob("*.py"))
    }


ALL: Final = {name: path for package in LAYERS for name, path in modules(package).items()}


def imported(name: str) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it: the module, or the module and the name taken from it."""
    package = name.split(".") if ALL[name].name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(ALL[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def module_of(full: str) -> str | None:
    """The module of ours that an imported name stands for or is in."""
    parts = full.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in ALL:
            return ".".join(parts[:length])
    return None


def test_there_is_something_to_look_at() -> None:
    assert len(ALL) > 100
    assert "curation_sandbox.errors.CurationError" in set(imported("curation_harness.errors"))


@pytest.mark.parametrize("package", LAYERS)
def test_imports_between_layers_go_one_way(package: str) -> None:
    above = list(LAYERS)[list(LAYERS).index(package) + 1 :]
    wrong = [
        f"{name} imports {full}"
        for name in modules(package)
        for full in imported(name)
        if full.split(".")[0] in above
    ]
    assert wrong == []


@pytest.mark.parametrize("package", OF_A_RUN[1:])
def test_what_a_run_goes_through_is_imported_one_way(package: str) -> None:
    wrong = {*OF_A_RUN[OF_A_RUN.index(package) + 1 :], *BEFORE, *AFTER}
    here = [name for name in modules("curation_harness") if name.startswith(f"curation_harness.{package}.")]
    assert here
    assert [
        f"{name} imports {full}"
        for name in here
        for full in imported(name)
        if full.startswith("curation_harness.") and full.split(".")[1] in wrong
    ] == []


@pytest.mark.parametrize("package", LAYERS)
def test_no_package_imports_itself_in_a_circle(package: str) -> None:
    """Imports inside functions count: they only hide a circle."""
    graph: dict[str, set[str]] = {}
    for name in modules(package):
        found = {module_of(full) for full in imported(name)}
        graph[name] = {other for other in found if other is not None and other in modules(package) and other != name}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' → '.join(error.args[1])}")
    assert set(order) == set(graph)


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_only_where_it_is_used(library: str) -> None:
    allowed = HEAVY[library]
    wrong = [
        name
        for name in ALL
        if not name.startswith(IN_CONTAINER)
        and any(full.split(".")[0] == library for full in imported(name))
        and not any(
            name == place or (place.endswith((".", "figures")) and name.startswith(place)) for place in allowed
        )
    ]
    assert wrong == []


def test_programs_of_the_container_stand_alone() -> None:
    """Another Python runs them, without our packages; ``curate`` and the checks use the standard library only."""
    sandbox, agents = IN_CONTAINER
    for name in ALL:
        for full in imported(name):
            top = full.split(".")[0]
            if name.startswith(sandbox):
                assert top in sys.stdlib_module_names, f"{name} imports {full}"
            elif name.startswith(agents):
                assert top not in LAYERS or full.startswith(agents), f"{name} imports {full}"


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "helper", "common", "misc", "base_utils", "tools"])
def test_no_module_is_a_drawer(name: str) -> None:
    assert [module for module in ALL if name in module.split(".")] == []


def test_images_and_tasks_hold_no_python() -> None:
    for folder in ("images", "tasks"):
        assert (ROOT / folder).is_dir()
        assert list((ROOT / folder).rglob("*.py")) == []


def test_no_test_folder_hides_a_library() -> None:
    """A folder of a library's name, and an ``__init__.py`` beside tests, shadow the real one under pytest."""
    folders = {path.name for path in (ROOT / "tests").rglob("*") if path.is_dir()}
    assert folders.isdisjoint({"docker", "torch", "sandbox", "plugins", "harness", *LAYERS} - {"plugins"})
    suites = [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "plugins"]
    assert [path for suite in suites for path in suite.rglob("__init__.py")] == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_importing_prints_and_makes_nothing() -> None:
    """Only definitions and constants at the top of a module: no call statement stands there by itself, but for the
    one that makes torchvision importable, which has to come before anything that imports it."""
    wrong = [
        f"{name}:{node.lineno}"
        for name, path in ALL.items()
        if not name.endswith("__main__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) not in {"_Loader.add_constructor", "torchvision_cpu.install"}
    ]
    assert wrong == []
