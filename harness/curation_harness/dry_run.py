"""``launch --dry-run``: the resolved plan, and whether this machine can hold it. Starts and makes nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Any

import psutil

from curation_harness import plan as plans
from curation_harness import provenance, seeds
from curation_harness.launch import find_image
from curation_harness.plan import LaunchOptions
from curation_plugins import assets as task_assets
from curation_plugins.registry import Registry
from curation_sandbox.errors import CurationError
from curation_sandbox.spec import format_size, parse_size


@dataclass(frozen=True)
class Check:
    what: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Description:
    plan: dict[str, Any]
    checks: tuple[Check, ...]

    @property
    def fits(self) -> bool:
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {"plan": self.plan, "checks": [vars(check) for check in self.checks], "fits": self.fits}

    def as_text(self) -> str:
        lines = [json.dumps(self.plan, indent=1, ensure_ascii=False), ""]
        lines += [f"{'ok     ' if c.holds else 'missing'} {c.what}: {c.detail}" for c in self.checks]
        lines.append("" if self.fits else "This machine cannot hold the run as it is.")
        return "\n".join(lines)


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
        "agent": {"name": plan.agent.name, **launch.model_dump(mode="json")},
        "scaffold": {"name": plan.scaffold.name, "version": plan.scaffold.version},
        "engine": plan.engine.name,
        "seeds": seeds.of_run(options.seed, plan.task.config.headline.seeds).model_dump(),
        "recipe_digest": provenance.recipe_digest(plan.task),
        "assets": {"folder": str(assets), "made": assets.is_dir()},
        "task": plan.task.config.model_dump(mode="json"),
    }
    return Description(resolved, (*_machine(plan), _image(launch.image)))


def _machine(plan: plans.Plan) -> tuple[Check, ...]:
    limits, workers = plan.task.config.limits, plan.task.config.workers
    memory = limits.memory + parse_size(workers.memory)
    total = psutil.virtual_memory().total
    disk = limits.workspace_size + limits.home_size
    existing = next(parent for parent in (plan.options.runs, *plan.options.runs.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    cpus = psutil.cpu_count() or 1
    return (
        Check(
            "memory",
            memory <= total,
            f"agent and one worker may use {format_size(memory)} of {format_size(total)}",
        ),
        Check("disk", disk <= free, f"volumes may use {format_size(disk)} of {format_size(free)} free"),
        Check("processors", limits.cpus <= cpus, f"the agent may use {limits.cpus:g} of {cpus}"),
    )


def _image(name: str) -> Check:
    try:
        found = find_image(name)
    except CurationError as error:
        return Check("image", False, str(error).replace("\n", " "))
    return Check("image", True, f"{name} {found.digest[:19]}")
