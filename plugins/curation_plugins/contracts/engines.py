"""The contract of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation_plugins.api import Engine, EngineSession
from curation_plugins.config import SubmissionRules, TaskConfig, WorkerLimits
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_plugins.errors import WorkerRaised, WorkerReplyInvalid, WorkFailed
from curation_plugins.jobs import TrainJob, TrainResult, WorkerSpec

_SPEC = WorkerSpec(entry="echo_worker:EchoWorker", python_path=(Path(__file__).resolve().parent,))

_CONFIG = TaskConfig(
    name="echo",
    family="echo",
    title="checks an engine",
    submission=SubmissionRules(rows_max=1),
    workers=WorkerLimits(seconds=60, silence_seconds=30),
    benchmarks=("echo",),
)


def check_engine(engine: Engine, folder: Path) -> None:
    """Check an engine by small jobs: warm workers, typed results, failures named and tried twice."""
    require_name("engine", engine.name)
    require_summary("engine", engine.name, engine.summary)
    events: list[str] = []
    log = folder / "workers.log"
    session = engine.open(run_id="contract", log=log, config=_CONFIG, on_event=lambda name, _: events.append(name))
    with session:
        heard: list[str] = []
        first = _train(session, folder / "first", {}, heard)
        require("echoing" in heard, f"engine {engine.name}: a worker's progress does not arrive")
        require(session.slot(), f"engine {engine.name}: slot() names no slot after a job")
        second = _train(session, folder / "second", {}, heard)
        require(
            (first.steps, second.steps) == (1, 2),
            f"engine {engine.name}: the second job did not find the first one's worker, which should be warm",
        )
        for setting, error in (("raise", WorkerRaised), ("wrong", WorkerReplyInvalid)):
            events.clear()
            _expect(engine, session, folder / setting, {setting: True}, error)
            require(
                events.count("job-failed") == 2,
                f"engine {engine.name}: a failed job is tried once more, and each failure is an event `job-failed`",
            )
        after = _train(session, folder / "after", {}, heard)
        require(after.steps == 1, f"engine {engine.name}: after a failure the next job gets a fresh worker")
    session.close()  # a second time: ending a run twice must not raise


def _train(session: EngineSession, out: Path, recipe: dict[str, Any], heard: list[str]) -> TrainResult:
    out.mkdir()
    job = TrainJob(selection=out, assets=out, recipe=recipe, seed=0, out=out)
    result = session.call(_SPEC, "train", job, TrainResult, lambda what, done: heard.append(what))
    require(result.samples == 0, "a job's `out` was not empty when it began")
    return result


def _expect(
    engine: Engine, session: EngineSession, out: Path, recipe: dict[str, Any], error: type[WorkFailed]
) -> None:
    try:
        _train(session, out, recipe, [])
    except error:
        return
    except WorkFailed as other:
        raise AssertionError(
            f"engine {engine.name}: {recipe} raised {type(other).__name__}, not {error.__name__}"
        ) from other
    raise AssertionError(f"engine {engine.name}: {recipe} did not raise {error.__name__}")
