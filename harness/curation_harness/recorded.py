"""A recorded run, made ready to go on or to be done again: its task, its plan, its image, its agent's seat."""

from __future__ import annotations

from pathlib import Path

from curation_harness.agent.seat import Seat
from curation_harness.errors import HarnessError, OptionInvalid, RecordInvalid, RunBusy
from curation_harness.planning.plan import LaunchOptions, Plan, image_name
from curation_harness.planning.prerequisites import find_image, model_line
from curation_harness.record.models import ImageUsed, RunSpec
from curation_harness.record.sealing import root, written_up
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord
from curation_harness.record.upgrades import SEALED
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins.api import Task
from curation_plugins.registry import Registry
from curation_sandbox.errors import ImageMissing


def refuse_ended(record: RunRecord) -> None:
    """Raises:
    RunBusy: another process works on the run. OptionInvalid: it has ended.
    """
    now = status(record)
    if now == "running":
        raise RunBusy(
            f"another process works on run {record.spec.run_id}",
            hint="Wait for it, or end it with Ctrl-C there.",
        )
    if now not in ("unscored", "failed"):
        raise OptionInvalid(
            f"run {record.spec.run_id} is {now}; there is nothing to go on with",
            hint=f"`harness show {record.folder}` shows it.",
        )


def unconcluded(record: RunRecord) -> bool:
    """Whether a run's process was ended between its last event and its report. Runs of formats without a seal were
    never sealed, and stay as they are."""
    if status(record) not in ("scored", "empty") or record.written_format() < SEALED:
        return False
    return root(record.folder) is None or not written_up(record)


def agent_is_through(record: RunRecord) -> bool:
    """Whether the agent's part is over, and not only interrupted."""
    kinds = [event.kind for event in record.events.all()]
    if "agent-started" not in kinds:
        return False
    last = len(kinds) - kinds[::-1].index("agent-started")
    return not {"done", "budget-spent", "agent-over"}.isdisjoint(kinds[last:])


def task_of(
    record: RunRecord, registry: Registry, cache: Path, watcher: Watcher, *, same_files: bool = True
) -> tuple[Task, Path]:
    """The recorded task under its recorded numbers, with its files.

    Raises:
        RecordInvalid: the files are not the ones the run was made with, and ``same_files`` asks for them.
    """
    spec = record.spec
    task = registry.tasks.get(spec.task.name).with_config(spec.task)
    watcher.step(f"checking the files of task {task.name}")
    assets = task_assets.ensure(cache, task, watcher.progress)
    if same_files and task_assets.digest(assets) != spec.assets_digest:
        raise RecordInvalid(
            f"the files of task {task.name} are not the ones run {spec.run_id} began with",
            hint="Scores from other files would not compare; launch a new run.",
        )
    return task, assets


def plan_of(spec: RunSpec, registry: Registry, task: Task, runs: Path) -> Plan:
    scaffold = registry.scaffolds.get(spec.scaffold.name)
    if scaffold.version != spec.scaffold.version:
        raise HarnessError(
            f"scaffold {scaffold.name} is version {scaffold.version} here; the run began with"
            f" {spec.scaffold.version}",
            hint="`harness finish` scores the run without running the agent again.",
        )
    if scaffold.digest(task) != spec.scaffold.digest:
        raise HarnessError(
            f"scaffold {scaffold.name} is another one here than in run {spec.run_id}: rules, cards or gate differ",
            hint="`harness finish` scores the run without running the agent again.",
        )
    agent = registry.agents.get(spec.agent.name)
    options = LaunchOptions(
        task=spec.task.name,
        agent=spec.agent.name,
        scaffold=spec.scaffold.name,
        runs=runs,
        cache=Path(),
        engine=spec.engine,
        seed=spec.seeds.run,
        run_id=spec.run_id,
        agent_dir=Path(spec.agent.agent_dir) if spec.agent.agent_dir else None,
        agent_arg=spec.agent.agent_arg,
        runtime=spec.runtime,
        reproduce_policy=spec.reproduce_policy,
    )
    return Plan(
        run_id=spec.run_id,
        options=options,
        task=task,
        agent=agent,
        scaffold=scaffold,
        engine=registry.engines.get(spec.engine),
        registry=registry,
        agent_options=agent.options_class.model_validate(spec.agent.options),
        model=spec.model,
        session=spec.agent.session,
    )


def image_of_then(record: RunRecord, name: str) -> ImageUsed:
    """The very image of the recorded run if the engine still has it, else what its name means now."""
    then = record.spec.image
    try:
        return find_image(then.digest).model_copy(update={"name": then.name})
    except ImageMissing:
        return find_image(name)


def seat_again(record: RunRecord, registry: Registry, task: Task, assets: Path, watcher: Watcher) -> Seat:
    plan = plan_of(record.spec, registry, task, record.folder.parent)
    launch = plan.agent_launch(assets)
    here = image_of_then(record, image_name(launch, task))
    if here.digest != record.spec.image.digest:
        raise RecordInvalid(
            f"image {here.name} is {here.digest[:19]} here; the run began with {record.spec.image.digest[:19]}",
            hint="`harness images load FILE` brings a saved image back; `harness finish` scores without the agent.",
        )
    return plan.seat(assets, here, model_line(plan.model, plan.agent, watcher))
