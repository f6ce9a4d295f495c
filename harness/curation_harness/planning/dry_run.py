"""``launch --dry-run``: the resolved plan, and whether this machine can hold it. Starts and makes nothing."""

from __future__ import annotations

import itertools
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation_harness import fetch, provenance, providers, seeds
from curation_harness.agent.box import socket_like
from curation_harness.agent_container import Places, container_spec, exposure
from curation_harness.planning import estimates, machine
from curation_harness.planning import plan as plans
from curation_harness.planning.machine import Check
from curation_harness.planning.plan import LaunchOptions, Plan
from curation_harness.planning.prerequisites import find_image
from curation_harness.record.scheme import Scheme
from curation_harness.report import wording
from curation_plugins import assets as task_assets
from curation_plugins.api import AgentLaunch
from curation_plugins.registry import Registry
from curation_sandbox.errors import CurationError
from curation_sandbox.gateway.probe import probe
from curation_sandbox.spec import ContainerSpec, format_size

_BYTES = frozenset({"memory", "file_size", "workspace_size", "home_size", "tmp_size", "shm_size", "max_bytes"})
"""Keys of a task whose values are bytes."""


@dataclass(frozen=True)
class Description:
    plan: dict[str, Any]
    checks: tuple[Check, ...]

    @property
    def fits(self) -> bool:
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {"plan": self.plan, "checks": [vars(check) for check in self.checks], "fits": self.fits}

    def as_text(self, width: int) -> str:
        """Two columns, one thing a row, wrapped at ``width`` characters; the whole plan is in ``as_json``."""
        rows = [*_lines(self.plan), ("", "")]
        rows += [(f"{check.what} {'ok' if check.holds else 'MISSING'}", check.detail) for check in self.checks]
        left = min(max(len(name) for name, _ in rows), width // 3)
        missing = [check.what for check in self.checks if not check.holds]
        verdict = f"As it is, the run cannot start: {', '.join(missing)}." if missing else "Nothing was started."
        return "\n".join([*(line for row in rows for line in _wrapped(*row, left, width)), "", verdict])


def _wrapped(name: str, value: str, left: int, width: int) -> Iterator[str]:
    """A row of two columns; the first has ``left`` characters of ``width``."""
    indented = name[: len(name) - len(name.lstrip())]
    names = textwrap.wrap(name.lstrip(), left, initial_indent=indented, subsequent_indent=indented) or [""]
    values = textwrap.wrap(value, max(20, width - left - 2), break_on_hyphens=False) or [""]
    for first, second in itertools.zip_longest(names, values, fillvalue=""):
        yield f"{first:<{left}}  {second}".rstrip()


def describe(options: LaunchOptions, registry: Registry) -> Description:
    """Resolve a launch and check it against this machine.

    Raises:
        CurationError: the plan itself is wrong (unknown names, bad options).
    """
    plan = plans.make(options, registry)
    assets = task_assets.folder(options.cache, plan.task)
    launch = plan.agent_launch(assets)
    resolved: dict[str, Any] = {
        "run_id": plan.run_id,
        "runs": str(options.runs),
        "agent": {
            "name": plan.agent.name,
            **launch.model_dump(mode="json"),
            "options": plan.agent_options.model_dump(mode="json"),
        },
        "model": plan.model.model_dump(mode="json") if plan.model else None,
        "scaffold": {"name": plan.scaffold.name, "version": plan.scaffold.version},
        "reproduce_policy": plan.reproduces,
        "runtime": plan.options.runtime,
        "engine": plan.engine.name,
        "seeds": seeds.of_run(options.seed, plan.task.config.headline.seeds).model_dump(),
        "recipe": dict(plan.task.applied_recipe()),
        "recipe_digest": provenance.recipe_digest(plan.task),
        "assets": {
            "folder": str(assets),
            "made": assets.is_dir(),
            "downloads": [piece.as_json() for piece in fetch.pieces(plan.task, options.cache)],
        },
        "container": exposure(_container(plan, launch, assets)),
        "estimates": estimates.of(plan),
        "task": plan.task.config.model_dump(mode="json"),
        "scoring": Scheme.of(plan.task).kept(plan.task.mean_name).model_dump(mode="json"),
    }
    image = _image(plans.image_name(launch, plan.task))
    return Description(
        resolved, (*machine.checks(plan), *estimates.checks(plan), _scoring(plan), image, *_model(plan))
    )


def _container(plan: Plan, launch: AgentLaunch, assets: Path) -> ContainerSpec:
    """What a run would start, but for names that are drawn then: the folder of its sockets, the image's digest."""
    sockets, volumes = socket_like().parent, plan.options.runs / plan.run_id / "volumes"
    places = Places(
        pool=assets / "pool",
        sockets=sockets,
        files=sockets.with_name("f"),
        workspace=volumes / "workspace",
        home=volumes / "home",
    )
    return container_spec(
        plan.run_id,
        plans.image_name(launch, plan.task),
        launch,
        plan.task.config.limits,
        places,
        gateway=plan.model is not None,
        runtime=plan.options.runtime,
    )


def _scoring(plan: Plan) -> Check:
    try:
        plan.task.require_ready()
    except CurationError as error:
        return Check("scoring", False, _sentence(error))
    return Check("scoring", True, _pairs(plan.task.scoring_identity()) or "by the task itself")


def _image(name: str) -> Check:
    try:
        found = find_image(name)
    except CurationError as error:
        return Check("image", False, _sentence(error))
    return Check("image", True, f"{name} {found.digest[:19]}")


def _sentence(error: CurationError) -> str:
    return f"{error.message}. {error.hint or ''}".strip().replace("\n", " ")


def _model(plan: Plan) -> Iterator[Check]:
    if plan.model is None:
        return
    try:
        providers.require_models(plan.model, probe(providers.upstream(plan.model), plan.model.wire))
    except CurationError as error:
        yield Check("model", False, _sentence(error))
    else:
        yield Check("model", True, f"{plan.model.provider} answers at {plan.model.base_url}, the key is good")


def _lines(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    task, agent, drawn = plan["task"], plan["agent"], plan["seeds"]
    yield "run", f"{plan['runs']}/{plan['run_id']}"
    yield "task", f"{task['name']}: {task['title']}"
    yield "agent", f"{agent['name']}: {shlex.join(map(_short, agent['command']))}"
    if agent["options"]:
        yield "agent's options", _pairs(agent["options"])
    if model := plan["model"]:
        small = f", small jobs {model['small']}" if model["small"] != model["name"] else ""
        yield "model", f"{model['provider']}: {model['name']}{small} ({model['wire']} API, {model['base_url']})"
    again = "; policies are run again" if plan["reproduce_policy"] else ""
    yield "scaffold", f"{plan['scaffold']['name']} (version {plan['scaffold']['version']}){again}"
    yield "engine", plan["engine"]
    if plan["runtime"]:
        yield "runtime", f"{plan['runtime']} (`harness doctor --sandbox --runtime {plan['runtime']}` tries it)"
    yield "task's files", f"{plan['assets']['folder']} ({'there' if plan['assets']['made'] else 'to be made first'})"
    headline = ", ".join(str(seed) for seed in drawn["headline"])
    yield "seeds", f"run {drawn['run']}, agent {drawn['agent']}, attempts {drawn['attempt']}, headline {headline}"
    yield "submission", _pairs(task["submission"])
    yield "budgets", _pairs(task["budgets"])
    yield "container", _pairs(task["limits"])
    yield from _exposure(plan["container"])
    yield "worker", _pairs(task["workers"])
    yield "benchmarks", f"{', '.join(task['benchmarks'])}. {wording.means(plan['scoring']['mean_of'])}"
    yield "recipe", _pairs(plan["recipe"])
    if task["evaluation"]:
        yield "evaluation", _pairs(task["evaluation"])
    for piece in plan["assets"]["downloads"]:
        size = format_size(piece["bytes"]) if piece["bytes"] else "size not known"
        yield f"  {piece['name']}", f"{piece['from']}, {size}{'' if piece['here'] else ', not here'}"
    if plan["estimates"] is not None:
        yield from estimates.lines(plan["estimates"])


def _exposure(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the agent's program can see and write; all of it is in ``as_json``."""
    host = container["HostConfig"]
    runtime = f", runtime {host['Runtime']}" if "Runtime" in host else ""
    yield "  isolation", f"network {host['NetworkMode']}, user {container['User']}, read-only root{runtime}"
    for mount in host["Mounts"]:
        yield f"  {mount['Target']}", f"{mount['Source']} ({'read-only' if mount['ReadOnly'] else 'writable'})"
    yield "  in memory", ", ".join([*host["Tmpfs"], "/dev/shm"])
    yield "  variables", ", ".join(entry.partition("=")[0] for entry in container["Env"])


def _short(word: str) -> str:
    """A prompt is an argument of some agents' programs."""
    first = word.split("\n", 1)[0]
    return first if len(first) <= 80 and first == word else f"{first[:80]} …"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_value(key, value)}" for key, value in values.items() if value is not None)


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(key, one) for one in value)}]"
    if key in _BYTES and isinstance(value, int):
        return format_size(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
