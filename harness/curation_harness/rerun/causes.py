"""What is different from when a run was made: its spec beside another one, or beside what would be written now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation_harness import provenance, seeds
from curation_harness.planning.plan import Plan
from curation_harness.record.models import CodeRevision, ImageUsed, RunSpec
from curation_harness.record.scheme import Scheme
from curation_harness.rerun.stages import Cause, CauseKind
from curation_plugins import assets as task_assets
from curation_plugins.api import Task

ABSENT: Final = "absent"
_SHOWN: Final = 12
"""Hexadecimal digits of a digest that are shown."""


def here(spec: RunSpec, task: Task, assets: Path) -> RunSpec:
    """The spec with what trains and scores as it is here, now."""
    return spec.model_copy(
        update={
            "assets_digest": task_assets.digest(assets),
            "pool_digest": task_assets.pool_digest(assets),
            "recipe_digest": provenance.recipe_digest(task),
            # the rule by which seeds are derived may have changed; the recorded ones are used all the same
            "seeds": seeds.of_run(spec.seeds.run, len(spec.seeds.headline)),
            "scoring": Scheme.of(task).kept(task.mean_name) if spec.scoring else None,
            "code": provenance.code_revision(),
            "packages": provenance.packages(),
            "package_digests": provenance.package_digests(),
            "hardware": provenance.hardware(),
        }
    )


def with_agent(spec: RunSpec, plan: Plan, image: ImageUsed) -> RunSpec:
    """The spec with the agent's part as it is here, now."""
    agent, registry = plan.registry.agents.provider(plan.agent.name), plan.registry
    scaffold, folder = registry.scaffolds.provider(plan.scaffold.name), plan.options.agent_dir
    return spec.model_copy(
        update={
            "image": image,
            "agent": spec.agent.model_copy(
                update={
                    "distribution": agent.distribution,
                    "version": agent.version,
                    "agent_dir_digest": None if folder is None else provenance.folder_digest(folder),
                }
            ),
            "scaffold": spec.scaffold.model_copy(
                update={"digest": plan.scaffold.digest(plan.task), "distribution": scaffold.distribution}
            ),
        }
    )


def between(then: RunSpec, now: RunSpec) -> tuple[Cause, ...]:
    """What differs of two specs, as far as an outcome can rest on it."""
    return tuple(
        Cause(kind=kind, what=what, then=one, now=other)
        for kind, what, one, other in (*_agents_part(then, now), *_hosts_part(then, now), *_packages(then, now))
        if one != other
    )


_Compared = tuple[CauseKind, str, str, str]
"""Kind, which of its kind, then, now."""


def _agents_part(then: RunSpec, now: RunSpec) -> Iterator[_Compared]:
    yield "image", now.image.name, short(then.image.digest), short(now.image.digest)
    yield "runtime", "of the containers", _text(then.runtime), _text(now.runtime)
    yield "agent", now.agent.name, _provided(then), _provided(now)
    yield "agent", "options", _text(then.agent.options), _text(now.agent.options)
    if then.agent.agent_dir_digest is not None:  # older records did not note it
        yield "agent", "its folder", short(then.agent.agent_dir_digest), short(now.agent.agent_dir_digest)
    yield "agent", "prompt", short(then.agent.prompt), short(now.agent.prompt)
    yield "scaffold", now.scaffold.name, short(then.scaffold.digest), short(now.scaffold.digest)
    yield "seed", "agent", _text(then.seeds.agent), _text(now.seeds.agent)


def _hosts_part(then: RunSpec, now: RunSpec) -> Iterator[_Compared]:
    yield "files", "pool", short(then.pool_digest), short(now.pool_digest)
    if then.pool_digest == now.pool_digest:  # the digest of all files has the pool's in it
        yield "files", "benchmarks and models", short(then.assets_digest), short(now.assets_digest)
    yield "recipe", now.task.name, short(then.recipe_digest), short(now.recipe_digest)
    yield "scoring", now.task.name, _text(then.scoring), _text(now.scoring)
    yield "seed", "attempts", _text(then.seeds.attempt), _text(now.seeds.attempt)
    yield "seed", "headline", _text(then.seeds.headline), _text(now.seeds.headline)
    for name in ("machine", "processor", "cpus", "gpus"):
        yield "hardware", name, _text(getattr(then.hardware, name)), _text(getattr(now.hardware, name))
    yield "code", "curation-harness", revision(then.code), revision(now.code)


def _packages(then: RunSpec, now: RunSpec) -> Iterator[_Compared]:
    for name in sorted({*then.packages, *now.packages}):
        versions = [spec.packages.get(name, ABSENT) for spec in (then, now)]
        digests = [spec.package_digests.get(name) for spec in (then, now)]
        if versions[0] == versions[1] and all(digests):  # the same version may have other contents
            versions = [f"{version} ({short(digest)})" for version, digest in zip(versions, digests, strict=True)]
        yield "package", name, versions[0], versions[1]


def of_slot(then: str | None, now: str | None) -> tuple[str, ...]:
    """What a training rests on besides: the accelerator that it ran on."""
    return () if then == now else (f"hardware slot: {then or ABSENT} then, {now or ABSENT} now",)


def short(digest: str | None) -> str:
    """The beginning of a digest, enough to tell two apart."""
    return ABSENT if digest is None else digest.removeprefix("sha256:")[:_SHOWN]


def _provided(spec: RunSpec) -> str:
    return f"{spec.agent.distribution} {spec.agent.version}"


def revision(code: CodeRevision) -> str:
    commit = f" {code.revision[:_SHOWN]}" if code.revision else ""
    return f"{code.version}{commit}{' with changes' if code.dirty else ''}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
