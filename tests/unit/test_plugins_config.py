"""A task's configuration: what is wrong is named with file, line, key and the nearest right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curation_plugins.config import Frozen, TaskConfig, load, override, resolve, section
from curation_plugins.errors import ConfigInvalid

MINIMAL: dict[str, Any] = {
    "name": "mine",
    "family": "probe",
    "title": "a task",
    "submission": {"rows_max": 10},
    "benchmarks": ["a", "b"],
}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    write(tmp_path, "mine", yaml.safe_dump(MINIMAL))
    return tmp_path


def write(tasks: Path, name: str, text: str) -> Path:
    (tasks / name).mkdir(exist_ok=True)
    file = tasks / name / "task.yaml"
    file.write_text(text)
    return file


def test_defaults_are_filled_in(tasks: Path) -> None:
    config = load(tasks / "mine" / "task.yaml")
    assert config.budgets.iterations == 4
    assert config.workers.memory == 8 * 2**30


def test_extends_merges_key_by_key(tasks: Path) -> None:
    write(tasks, "mid", "extends: mine\nname: mid\nbudgets: {iterations: 7}\nrecipe: {lr: 1, steps: 2}\n")
    top = write(tasks, "top", "extends: mid\nname: top\nbudgets: {refunds: 1}\nrecipe: {lr: 3}\nbenchmarks: [c]\n")
    config = load(top)
    assert (config.name, config.family) == ("top", "probe")
    assert (config.budgets.iterations, config.budgets.refunds) == (7, 1)
    assert config.recipe == {"lr": 3, "steps": 2}
    assert config.benchmarks == ("c",)


def test_relative_path_finds_what_it_extends(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tasks, "top", "extends: mine\nname: top\n")
    monkeypatch.chdir(tasks / "top")
    assert load(Path("task.yaml")).family == "probe"


def test_circle_is_shown(tasks: Path) -> None:
    write(tasks, "a", "extends: b\n")
    write(tasks, "b", "extends: a\n")
    with pytest.raises(ConfigInvalid, match="a → b → a"):
        load(tasks / "a" / "task.yaml")


def test_extending_what_is_not_there_lists_what_is(tasks: Path) -> None:
    file = write(tasks, "top", "extends: mein\n")
    with pytest.raises(ConfigInvalid, match=r"extends 'mein'(.|\n)*Tasks beside it: mine, top"):
        load(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [1, 2\nfamily: x", "line 2, column 7"),
        ("name: a\n\tfamily: b", "line 2, column 1"),
        ("", "found nothing"),
        ("- a\n- b", "found list"),
        ("name: a\nfamily: b\nname: c\n", "line 3, column 1: key 'name' stands in line 1 too"),
        ("budgets:\n  refunds: 1\n  refunds: 2\n", "line 3, column 3: key 'refunds' stands in line 2 too"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_bad_yaml_names_file_and_place(tasks: Path, text: str, says: str) -> None:
    file = write(tasks, "bad", text)
    with pytest.raises(ConfigInvalid) as error:
        load(file)
    assert says in str(error.value)
    assert str(file) in str(error.value)


def test_bytes_that_are_no_text_are_named(tasks: Path) -> None:
    file = tasks / "mine" / "task.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigInvalid, match=r"task\.yaml: .*utf-8"):
        load(file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bugets": {}}, "bugets: unknown key (did you mean 'budgets'?)"),
        ({"budgets": {"iteration": 3}}, "budgets.iteration: unknown key (did you mean 'iterations'?)"),
        ({"limits": {"memroy": "1g"}}, "limits.memroy: unknown key (did you mean 'memory'?)"),
        ({"budgets": {"iterations": 0}}, "budgets.iterations: Input should be greater than 0"),
        ({"budgets": {"agent_seconds": float("inf")}}, "budgets.agent_seconds: Input should be a finite number"),
        ({"budgets": {"agent_seconds": float("nan")}}, "budgets.agent_seconds: Input should be"),
        ({"workers": {"memory": "lots"}}, "workers.memory: Value error, 'lots' is no size"),
        ({"name": "Mine!"}, "name: String should match"),
        ({"benchmarks": []}, "benchmarks: "),
        ({"references": {"random": "many"}}, "references.random: Input should be a valid integer"),
    ],
)
def test_wrong_key_is_named_with_its_line(tasks: Path, change: dict[str, Any], says: str) -> None:
    file = write(tasks, "mine", yaml.safe_dump({**MINIMAL, **change}, sort_keys=False))
    with pytest.raises(ConfigInvalid) as error:
        load(file)
    assert says in str(error.value)
    assert f"({file}, line " in str(error.value)


def test_line_is_that_of_the_layer_that_has_the_key(tasks: Path) -> None:
    write(tasks, "mine", yaml.safe_dump({**MINIMAL, "budgets": {"refunds": -1}}, sort_keys=False))
    top = write(tasks, "top", "extends: mine\nname: top\nbudgets:\n  iterations: 3\n")
    with pytest.raises(ConfigInvalid, match=rf"\({tasks}/mine/task.yaml, line 10\)"):
        load(top)


def test_overrides_are_one_more_layer(tasks: Path) -> None:
    config = load(tasks / "mine" / "task.yaml", ["budgets.iterations=9", "recipe.a.b=[1, 2]", "title=x=y"])
    assert config.budgets.iterations == 9
    assert config.recipe == {"a": {"b": [1, 2]}}
    assert config.title == "x=y"
    again = override(config, ["recipe.a.c=true", "benchmarks=[z]"])
    assert again.recipe == {"a": {"b": [1, 2], "c": True}}
    assert again.benchmarks == ("z",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("budgets.iterations", "is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("budgets..iterations=3", "is not KEY=VALUE"),
        ("budgets.iterations=[", "the value is not YAML"),
        ("budgets.iterations=", "budgets.iterations: Input should be a valid integer"),
        ("budgets.iteratons=3", "did you mean 'iterations'?"),
        ("budgets.iterations.deep=3", "budgets.iterations"),
        ("name.deep=3", "name: Input should be a valid string"),
        ("submission.max_bytes=300000000", "a file may have 268435456 bytes: lower it, or raise limits.file_size"),
    ],
)
def test_bad_override_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as error:
        override(TaskConfig.model_validate(MINIMAL), [text])
    assert says in str(error.value)


def test_section_of_a_family_is_checked_likewise() -> None:
    class Recipe(Frozen):
        rate: float = 0.1

    config = TaskConfig.model_validate({**MINIMAL, "recipe": {"rat": 1}})
    with pytest.raises(ConfigInvalid, match=r"task mine: recipe.rat: unknown key \(did you mean 'rate'\?\)"):
        section(config, "recipe", Recipe)


def test_config_survives_its_own_dump() -> None:
    config = TaskConfig.model_validate(MINIMAL)
    assert TaskConfig.model_validate_json(config.model_dump_json()) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


keys = st.sampled_from(sorted(TaskConfig.model_fields)) | st.text(max_size=8)


def refusal(resolved: Callable[[], TaskConfig]) -> str:
    """What ConfigInvalid says; "" if all is well. Any other error is a bug."""
    try:
        resolved()
    except ConfigInvalid as error:
        return str(error)
    return ""


@given(st.dictionaries(keys, json_values, max_size=4))
def test_any_tree_is_a_config_or_a_named_error(tree: dict[str, Any]) -> None:
    said = refusal(lambda: resolve({**MINIMAL, **tree}, (), origin="tree"))
    assert not said or said.startswith("tree: ")


@given(st.text(max_size=40))
def test_any_text_is_a_config_or_a_named_error(text: str) -> None:
    said = refusal(lambda: override(TaskConfig.model_validate(MINIMAL), [text]))
    assert not said or "--set" in said
