"""Everything a launch decides before anything starts: names resolved, options checked, nothing touched."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation_harness import prices, provenance, providers, seeds
from curation_harness.agent.seat import ModelLine, Seat
from curation_harness.errors import OptionInvalid, RunExists, RunFolderUnusable
from curation_harness.planning import prompt
from curation_harness.record.events import now
from curation_harness.record.models import (
    FORMAT,
    AgentUsed,
    ImageUsed,
    ModelUsed,
    Provided,
    RunSpec,
    ScaffoldUsed,
)
from curation_harness.record.scheme import Scheme
from curation_plugins import assets as task_assets
from curation_plugins import config
from curation_plugins.api import (
    Agent,
    AgentLaunch,
    AgentOptions,
    AgentRequest,
    Engine,
    ModelChoice,
    Scaffold,
    Task,
)
from curation_plugins.registry import Registry
from curation_sandbox.image_files import BASE, ON

SESSIONS = uuid.UUID("6f6f3c0e-5a0f-4c9e-9a53-3f6f0f3f2a10")
"""Namespace of the sessions' names: the same run id and seed give the same name."""

RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """What the user asked for."""

    task: str
    agent: str
    scaffold: str
    runs: Path
    cache: Path
    engine: str = "local"
    seed: int = 0
    run_id: str | None = None
    iterations: int | None = None
    overrides: Sequence[str] = ()
    agent_dir: Path | None = None
    agent_arg: str | None = None
    agent_options: Sequence[str] = ()
    """``KEY=VALUE``."""
    model: str | None = None
    """``PROVIDER/NAME``."""
    small_model: str | None = None
    base_url: str | None = None
    prices: Sequence[str] = ()
    """``NAME=INPUT/OUTPUT[/CACHED]``."""
    runtime: str | None = None
    """OCI runtime of the run's containers; none: the engine's own."""
    reproduce_policy: bool = False
    """Whether submitted policies are run again even where the scaffold does not ask for it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A launch, resolved."""

    run_id: str
    options: LaunchOptions
    task: Task
    agent: Agent
    scaffold: Scaffold
    engine: Engine
    registry: Registry
    agent_options: AgentOptions
    model: ModelUsed | None
    session: str
    """UUID by which the agent's program names its conversation."""

    def agent_request(self, assets: Path) -> AgentRequest:
        """What the agent is asked for its launch with."""
        model = self.model
        return AgentRequest(
            task=self.task,
            assets=assets,
            seed=seeds.derive(self.options.seed, "agent"),
            iterations=self.task.config.budgets.iterations,
            agent_dir=self.options.agent_dir,
            agent_arg=self.options.agent_arg,
            model=None if model is None else ModelChoice(model.name, model.provider, model.wire, model.small),
            prompt=self.prompt(),
            session=self.session,
            options=self.agent_options,
        )

    def prompt(self) -> str:
        seed = seeds.derive(self.options.seed, "agent")
        return prompt.compose(self.task, self.scaffold, seed, reproduces=self.reproduces)

    @property
    def reproduces(self) -> bool:
        """Whether the host runs submitted policies again."""
        return self.scaffold.reproduces or self.options.reproduce_policy

    def agent_launch(self, assets: Path) -> AgentLaunch:
        """How the agent is started; checks its options."""
        return self.agent.launch(self.agent_request(assets))

    def seat(self, assets: Path, image: ImageUsed, line: ModelLine | None) -> Seat:
        return Seat(agent=self.agent, request=self.agent_request(assets), image=image.digest, model=line)


def make(options: LaunchOptions, registry: Registry) -> Plan:
    """Resolve a launch.

    Raises:
        UnknownName, ConfigInvalid, OptionInvalid, RunExists, RunFolderUnusable: before anything was touched.
    """
    overrides = list(options.overrides)
    if options.iterations is not None:
        overrides.append(f"budgets.iterations={options.iterations}")
    task = registry.tasks.get(options.task)
    if overrides:
        task = task.with_config(config.override(task.config, overrides))
    agent = registry.agents.get(options.agent)
    model = _model(options, agent, task)
    run_id = _new_id(options) if options.run_id is None else options.run_id
    _check_run_id(run_id, options.runs)
    return Plan(
        run_id=run_id,
        options=options,
        task=task,
        agent=agent,
        scaffold=registry.scaffolds.get(options.scaffold),
        engine=registry.engines.get(options.engine),
        registry=registry,
        agent_options=config.options(options.agent_options, agent.options_class, agent.name),
        model=model,
        session=session_of(run_id, options.seed),
    )


def session_of(run_id: str, seed: int) -> str:
    """The UUID by which an agent's program names its conversation."""
    return str(uuid.uuid5(SESSIONS, f"{run_id} {seed}"))


def image_name(launch: AgentLaunch, task: Task) -> str:
    """The image of the agent's container: the agent's own, on the task's where that is another one than ``base``."""
    own, under = launch.image, task.config.image
    if under in (BASE, own):
        return own
    return under if own == BASE else f"{own}{ON}{under}"


def _model(options: LaunchOptions, agent: Agent, task: Task) -> ModelUsed | None:
    """The model of the run.

    Raises:
        OptionInvalid: a model that cannot be, or a budget on money for a model without a price.
    """
    used = providers.choose(options.model, options.small_model, options.base_url, agent)
    given = tuple(prices.parse(text) for text in options.prices)
    if used is None:
        if given:
            raise OptionInvalid("--price says more about --model, which is not given")
        return None
    for price in given:
        if price.model not in (used.name, used.small):
            raise OptionInvalid(f"--price {price.model}: the run's model is {used.name}")
    table = prices.PriceTable(used.provider, given)
    unpriced = [name for name in dict.fromkeys((used.name, used.small)) if not table.knows(name)]
    if unpriced and task.config.budgets.model_dollars is not None:
        raise OptionInvalid(
            f"budgets.model_dollars cannot be held: no price is known for {', '.join(unpriced)}",
            hint=f"Give it, in dollars per million tokens: --price {unpriced[0]}=INPUT/OUTPUT",
        )
    return used.model_copy(update={"prices": given})


def run_spec(plan: Plan, launch: AgentLaunch, image: ImageUsed, assets: Path) -> RunSpec:
    """The record's first file."""
    options, task, registry = plan.options, plan.task, plan.registry
    task_from = registry.tasks.provider(task.name)
    agent_from = registry.agents.provider(plan.agent.name)
    return RunSpec(
        format=FORMAT,
        run_id=plan.run_id,
        created=now(),
        task=task.config,
        task_provider=Provided(name=task.name, distribution=task_from.distribution, version=task_from.version),
        overrides=tuple(options.overrides),
        agent=AgentUsed(
            name=plan.agent.name,
            distribution=agent_from.distribution,
            version=agent_from.version,
            command=launch.command,
            agent_dir=str(options.agent_dir) if options.agent_dir else None,
            agent_dir_digest=provenance.folder_digest(options.agent_dir) if options.agent_dir else None,
            agent_arg=options.agent_arg,
            options=plan.agent_options.model_dump(mode="json"),
            session=plan.session,
            prompt=hashlib.sha256(plan.prompt().encode()).hexdigest() if plan.model else None,
        ),
        model=plan.model,
        scaffold=ScaffoldUsed(
            name=plan.scaffold.name,
            version=plan.scaffold.version,
            digest=plan.scaffold.digest(task),
            distribution=registry.scaffolds.provider(plan.scaffold.name).distribution,
        ),
        engine=plan.engine.name,
        seeds=seeds.of_run(options.seed, task.config.headline.seeds),
        assets_digest=task_assets.digest(assets),
        pool_digest=task_assets.pool_digest(assets),
        recipe_digest=provenance.recipe_digest(task),
        image=image,
        runtime=options.runtime,
        code=provenance.code_revision(),
        packages=provenance.packages(),
        package_digests=provenance.package_digests(),
        hardware=provenance.hardware(),
        published=task.published(),
        reproduce_policy=plan.reproduces,
        audit=task.audited(assets),
        scoring=Scheme.of(task).kept(task.mean_name),
    )


def _new_id(options: LaunchOptions) -> str:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{options.task}-{options.agent}-{stamp}-{secrets.token_hex(2)}"[:63]


def _check_run_id(run_id: str, runs: Path) -> None:
    if not RUN_ID.fullmatch(run_id):
        raise OptionInvalid(
            f"--run-id {run_id!r}: lower-case letters, digits, '.', '_' and '-', at most 63",
            hint="Example: --run-id llava-first-try",
        )
    if (runs / run_id).exists():
        raise RunExists(f"run {run_id} exists in {runs}", hint="Choose another --run-id.")
    existing = next(parent for parent in (runs, *runs.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise RunFolderUnusable(
            f"{runs} cannot hold a run: {existing} is not a writable folder",
            hint="Name a writable folder with --run-dir.",
        )
