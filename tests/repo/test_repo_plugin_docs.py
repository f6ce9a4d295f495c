"""The plugin documentation says what the code says, and every hook has a user and a test."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from curation_plugins import hookspecs, plugin_docs, testing

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "plugins.md"
HOOKS = [node for node in ast.parse(inspect.getsource(hookspecs)).body if isinstance(node, ast.FunctionDef)]
NAMES = [hook.name for hook in HOOKS]


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_generated_parts_are_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert plugin_docs.fill(text) == text, "docs/plugins.md is out of date: run `make docs`"


def test_every_part_is_on_the_page() -> None:
    found = re.findall(r"<!-- generated: ([a-z-]+) -->", PAGE.read_text(encoding="utf-8"))
    assert sorted(found) == sorted(plugin_docs.PARTS)


@pytest.mark.parametrize("hook", HOOKS, ids=NAMES)
def test_hook_is_documented_with_its_exact_signature(hook: ast.FunctionDef) -> None:
    source = ast.get_source_segment(inspect.getsource(hookspecs), hook)
    assert source is not None
    signature = source.split(":\n", 1)[0]
    assert signature in PAGE.read_text(encoding="utf-8")
    assert ast.get_docstring(hook), "when it is called, and what it must not do"


@pytest.mark.parametrize("name", NAMES)
def test_hook_has_a_user(name: str) -> None:
    assert name in functions(ROOT / "plugins" / "curation_plugins" / "builtin.py")


@pytest.mark.parametrize("name", NAMES)
def test_hook_has_a_test(name: str) -> None:
    assert f"test_hook_{name}" in functions(ROOT / "tests" / "unit" / "test_plugins_registry.py")


@pytest.mark.parametrize("name", testing.__all__)
def test_contract_check_is_documented_and_used(name: str) -> None:
    assert f"`{name}(" in PAGE.read_text(encoding="utf-8")
    contract = (ROOT / "tests" / "contract" / "test_contract_plugins.py").read_text()
    assert f"    {name}(" in contract


@pytest.mark.parametrize("fault_table", [PAGE])
def test_every_worker_error_is_documented(fault_table: Path) -> None:
    from curation_plugins import errors

    text = fault_table.read_text(encoding="utf-8")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WorkFailed)]
    for kind in kinds:
        assert kind.__name__ in text or kind in (errors.WorkFailed, errors.WorkStopped)
