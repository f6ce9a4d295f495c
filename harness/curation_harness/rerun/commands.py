"""The three kinds of ``harness rerun`` as functions: what the command calls."""

from __future__ import annotations

import sys
from pathlib import Path

from curation_harness import launch as runs
from curation_harness.attempts.trial import TrialRunner
from curation_harness.errors import OptionInvalid
from curation_harness.planning import machine, sandbox_check
from curation_harness.planning.plan import image_name
from curation_harness.planning.prerequisites import model_line
from curation_harness.record import files
from curation_harness.record.sealing import note_beside
from curation_harness.record.store import RunRecord
from curation_harness.recorded import image_of_then, plan_of, task_of
from curation_harness.replay.runner import Replayer
from curation_harness.replay.verdict import Replay
from curation_harness.rerun import live, numbers
from curation_harness.rerun.stages import Rerun
from curation_harness.rerun.submissions import SubmissionRerunner
from curation_harness.watcher import Watcher
from curation_plugins.registry import Registry


def again_by_submissions(
    record: RunRecord, registry: Registry, cache: Path, epsilon: float, watcher: Watcher
) -> Rerun:
    """Train and score a run's submissions again."""
    task, assets = task_of(record, registry, cache, watcher, same_files=False)
    with record.lock():
        folder = numbers.new_folder(record, "submissions")
        try:
            log = folder.with_suffix(".log")
            engine = registry.engines.get(record.spec.engine)
            with engine.open(run_id=record.spec.run_id, log=log, config=task.config) as session:
                trials = TrialRunner(task, assets, session)
                made = SubmissionRerunner(record, trials, epsilon, watcher.progress, folder).run()
            watcher.step(f"what was found is kept in {folder.with_suffix('.json')}")
        except BaseException:  # Ctrl-C too: a rerun without a verdict leaves no folder
            numbers.withdraw(folder)
            raise
        note_beside(record)
        return made


def replay(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Replay:
    """Run a recorded agent again, against the recorded replies and feedback: no key, no network, no training."""
    task, assets = task_of(record, registry, cache, watcher)
    plan = plan_of(record.spec, registry, task, record.folder.parent)
    image = image_of_then(record, image_name(plan.agent_launch(assets), task))
    sandbox_check.require(image, record.spec.runtime, cache, watcher)
    with record.lock():
        runs.remove_leftovers(cache)  # of a killed replay: it had the same run id
        made = Replayer(record, plan, image, assets, cache, watcher).run()
        note_beside(record)
        return made


def again_live(
    record: RunRecord, registry: Registry, cache: Path, epsilon: float, watcher: Watcher
) -> Rerun | runs.Outcome:
    """Launch a run's spec as a new run, and compare; an interrupted new run has no verdict, and is handed back.

    Raises:
        RunBusy: a process works on the recorded run: there is nothing yet to compare with.
    """
    with record.lock():  # asked before anything is spent
        pass
    task, assets = task_of(record, registry, cache, watcher, same_files=False)
    plan = live.plan_again(record, plan_of(record.spec, registry, task, record.folder.parent), cache)
    agent = plan.agent_launch(assets)
    if agent.interactive and not sys.stdin.isatty():
        raise OptionInvalid(f"agent {plan.agent.name} needs a terminal", hint="Run it from one, without --json.")
    line = model_line(plan.model, plan.agent, watcher)
    image = image_of_then(record, image_name(agent, task))
    machine.require(plan)
    sandbox_check.require(image, plan.options.runtime, cache, watcher)
    outcome = runs.begin(plan, plan.seat(assets, image, line), agent, image, record.references(), watcher)
    if outcome.status == "unscored":
        return outcome
    return against(record, outcome.record, epsilon, watcher)


def against(record: RunRecord, other: RunRecord, epsilon: float, watcher: Watcher) -> Rerun:
    """Compare a run with one that was launched from its spec, and write the verdict beside the first.

    Raises:
        OptionInvalid: it is one and the same run, or the other has another spec, or has not ended.
    """
    if other.spec.run_id == record.spec.run_id:
        raise OptionInvalid(
            f"{other.folder} is run {record.spec.run_id} itself: it would be equal whatever it is",
            hint="`harness rerun RUN --live` launches the run to compare with.",
        )
    live.require_same_spec(record.spec, other.spec)
    made = live.compare(record, other, epsilon)
    with record.lock():
        folder = numbers.new_folder(record, "live")
        files.write_model(folder.with_suffix(".json"), made)
        watcher.step(f"what was found is kept in {folder.with_suffix('.json')}")
        numbers.withdraw(folder)  # the new run has a folder of its own among the runs
        note_beside(record)
    return made
