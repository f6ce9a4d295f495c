"""Finding plugins: what is installed, what is broken, and that one broken plugin costs the others nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from curation_plugins import paths, registry
from curation_plugins.contracts.registered import HEAVY
from curation_plugins.errors import UnknownName

HEADER = """
from curation_plugins import hookimpl
from curation_plugins.api import Scaffold

class Strict(Scaffold):
    name = "strict"
    summary = "asks for much"
    version = "1"
    def rules(self, task): return "rules"
    def gate(self, submission): return ()
"""

GOOD = f"""{HEADER}
@hookimpl
def register_scaffolds(register):
    register(Strict())
"""


class Site:
    """A folder of installed distributions, made by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str, entry: str | None = None, value: str | None = None) -> None:
        module = name.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[curation_harness]\n{entry or name} = {value or module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def broken(built: registry.Registry, distribution: str) -> list[str]:
    return [one.reason for one in built.broken if one.distribution == distribution]


def test_installed_package_brings_its_objects(site: Site) -> None:
    site.install("strict-scaffold", GOOD)
    built = registry.build()
    assert built.scaffolds.get("strict").summary == "asks for much"
    assert built.scaffolds.provider("strict") == registry.Provider("strict-scaffold", "1.0")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1/0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        (f"{HEADER}\n@hookimpl\ndef register_scafolds(register): pass", "register_scafolds"),
        (f"{HEADER}\n@hookimpl\ndef register_scaffolds(registry): pass", "registry"),
        (
            f"{HEADER}\n@hookimpl\ndef register_scaffolds(register): register('strict')",
            "registered a str as scaffold",
        ),
        (f"{HEADER}\n@hookimpl\ndef register_agents(register): register(Strict())", "registered a Strict as agent"),
        (f"{HEADER}\n@hookimpl\ndef register_tasks(register): raise OSError('no disk')", "OSError: no disk"),
    ],
)
def test_broken_plugin_is_named_with_its_package_and_the_rest_works(site: Site, code: str, says: str) -> None:
    site.install("broken-thing", code)
    site.install("strict-scaffold", GOOD)
    built = registry.build()
    (reason,) = broken(built, "broken-thing")
    assert says in reason
    assert "strict" in [scaffold.name for scaffold in built.scaffolds]
    assert {"open"} <= {scaffold.name for scaffold in built.scaffolds}
    assert {"probe", "probe-venv"} <= {task.name for task in built.tasks}


def test_name_taken_twice_names_both_packages_and_keeps_the_first(site: Site) -> None:
    site.install("a-scaffold", GOOD)
    site.install("b-scaffold", GOOD)
    built = registry.build()
    (reason,) = broken(built, "b-scaffold")
    assert "'strict' is registered twice: by a-scaffold and by b-scaffold" in reason
    assert built.scaffolds.provider("strict").distribution == "a-scaffold"


def test_stranger_cannot_take_the_place_of_a_builtin(site: Site) -> None:
    impostor = GOOD.replace('name = "strict"', 'name = "open"')
    site.install("a-impostor", impostor, entry="builtin")
    built = registry.build()
    assert built.scaffolds.provider("open").distribution == "curation-harness"
    assert "registered twice" in broken(built, "a-impostor")[0]


def test_objects_before_the_wrong_one_stay(site: Site) -> None:
    site.install("half-good", f"{GOOD}    register(42)\n")
    built = registry.build()
    assert built.scaffolds.get("strict")
    assert "registered a int" in broken(built, "half-good")[0]


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no task is called 'prob'\. Did you mean .*probe"):
        registry.build().tasks.get("prob")


def test_broken_task_file_is_named_with_line_and_the_other_builtins_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "unknown-key": "name: unknown-key\nfamily: llava\ntitle: t\nsubmision: {rows_max: 3}\nbenchmarks: [a]\n",
        "not-yaml": "name: [\n",
        "no-family": "name: no-family\nfamily: lava\ntitle: t\nsubmission: {rows_max: 3}\nbenchmarks: [a]\n",
        "bad-recipe": "name: bad-recipe\nfamily: llava\ntitle: t\nsubmission: {rows_max: 3}\nbenchmarks: [digits]\n"
        "recipe: {batch: 0}\n",
        "misnamed": "name: other\nfamily: llava\ntitle: t\nsubmission: {rows_max: 3}\nbenchmarks: [a]\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.yaml").write_text(text)
    monkeypatch.setattr(paths, "TASKS", tmp_path)
    built = registry.build()
    reasons = broken(built, "curation-harness")
    assert len(reasons) == 5
    text = "\n".join(reasons)
    unknown = tmp_path / "unknown-key" / "task.yaml"
    assert f"submision: unknown key (did you mean 'submission'?) ({unknown}, line 4)" in text
    assert f"{tmp_path / 'not-yaml' / 'task.yaml'}, line 2, column 1" in text
    assert f"{tmp_path / 'bad-recipe' / 'task.yaml'}: " in text
    assert "no task family is called 'lava'" in text
    assert "name is 'other', and the folder is called 'misnamed'" in text
    assert built.engines.get("local")
    assert built.agents.get("baseline")
    assert built.tasks.get("probe")


HOOK = """
from curation_plugins import hookimpl
from {module} import {base}

class Mine({base}):
    name = "mine"

@hookimpl
def {hook}(register):
    register(Mine({arguments}))
"""


def test_hook_register_tasks(site: Site) -> None:
    arguments = "load(TASKS / 'probe' / 'task.yaml')"
    code = HOOK.format(module="curation_probe.task", base="ProbeTask", hook="register_tasks", arguments=arguments)
    site.install(
        "my-plugin", f"from curation_plugins.config import load\nfrom curation_probe.task import TASKS\n{code}"
    )
    assert registry.build().tasks.provider("mine").distribution == "my-plugin"


def test_hook_register_agents(site: Site) -> None:
    module, base = "curation_plugins.agents.nop", "NopAgent"
    site.install("my-plugin", HOOK.format(module=module, base=base, hook="register_agents", arguments=""))
    assert registry.build().agents.provider("mine").distribution == "my-plugin"


def test_hook_register_scaffolds(site: Site) -> None:
    module, base = "curation_plugins.scaffolds.open", "OpenScaffold"
    site.install("my-plugin", HOOK.format(module=module, base=base, hook="register_scaffolds", arguments=""))
    assert registry.build().scaffolds.provider("mine").distribution == "my-plugin"


def test_hook_register_engines(site: Site) -> None:
    module, base = "curation_plugins.engines.local", "LocalEngine"
    site.install("my-plugin", HOOK.format(module=module, base=base, hook="register_engines", arguments=""))
    assert registry.build().engines.provider("mine").distribution == "my-plugin"


def test_building_loads_nothing_heavy() -> None:
    code = "import sys; from curation_plugins import registry; registry.build(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
