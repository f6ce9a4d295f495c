"""Commands that work on a run: ``report``, ``resume``, ``finish``, ``rerun``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from curation_harness import launch as work
from curation_harness import places
from curation_harness.cli.launch import watching
from curation_harness.cli.options import (
    a_run,
    as_json,
    find_run,
    load_registry,
    run_dir,
)
from curation_harness.cli.outcome import tell_outcome
from curation_harness.errors import RerunDiffers
from curation_harness.replay.compare import NOT_SHOWN
from curation_harness.replay.verdict import Replay
from curation_harness.report.html import write_report
from curation_harness.report.plain import one_line
from curation_harness.rerun import Rerun
from curation_plugins import assets as task_assets


@click.command()
@a_run
@run_dir
def report(run: str, run_dir: Path | None) -> None:
    """Write the HTML report of RUN and print where it is."""
    record = find_run(run, run_dir)
    registry = load_registry()
    task = assets = None
    if record.spec.task.name in {known.name for known in registry.tasks}:
        task = registry.tasks.get(record.spec.task.name).with_config(record.spec.task)
        folder = task_assets.folder(places.cache(), task)
        assets = folder if folder.is_dir() else None
    click.echo(write_report(record, task, assets))


@click.command()
@a_run
@run_dir
@as_json
def resume(run: str, run_dir: Path | None, as_json: bool) -> None:
    """Go on with an interrupted RUN: unfinished attempts, then the agent, then the headline."""
    with watching(as_json) as watcher:
        outcome = work.resume(find_run(run, run_dir), load_registry(), places.cache(), watcher)
    sys.exit(tell_outcome(outcome, as_json))


@click.command()
@a_run
@run_dir
@as_json
def finish(run: str, run_dir: Path | None, as_json: bool) -> None:
    """Score an interrupted RUN as it stands: unfinished attempts, then the headline; no agent."""
    with watching(as_json) as watcher:
        outcome = work.finish(find_run(run, run_dir), load_registry(), places.cache(), watcher)
    sys.exit(tell_outcome(outcome, as_json))


@click.command()
@a_run
@click.option("--submissions", is_flag=True, help="Train and score the same submissions again.")
@click.option("--replay", is_flag=True, help="Run the agent again on its recorded model traffic.")
@click.option(
    "--epsilon",
    type=click.FloatRange(0),
    default=0.005,
    show_default=True,
    help="With --submissions: largest difference of a mean that counts as within ε.",
)
@run_dir
@as_json
def rerun(run: str, submissions: bool, replay: bool, epsilon: float, run_dir: Path | None, as_json: bool) -> None:
    """Do a part of RUN again and compare; exit code 49 if it comes out differently.

    --submissions needs no agent: it trains and scores what was submitted. --replay needs no key, no network and no
    training: the agent gets the recorded replies of its model and the recorded scores, and should submit the same.
    """
    if submissions == replay:
        raise click.UsageError("say what to do again: --submissions, or --replay; each is a command of its own")
    record, registry = find_run(run, run_dir), load_registry()
    made: Rerun | Replay
    with watching(as_json) as watcher:
        if replay:
            made = work.replay(record, registry, places.cache(), watcher)
        else:
            made = work.rerun_submissions(record, registry, places.cache(), epsilon, watcher)
    if as_json:
        click.echo(made.model_dump_json(indent=1))
    else:
        click.echo("\n".join(_replay_lines(made) if isinstance(made, Replay) else _rerun_lines(made)))
    sys.exit(RerunDiffers.exit_code if made.verdict == "differs" else 0)


def _rerun_lines(made: Rerun) -> Iterator[str]:
    for one in made.attempts:
        yield (
            f"attempt {one.n}: {one.verdict:<14} public {one.public_before:.4f} → {one.public_after:.4f},"
            f" sealed {one.sealed_before:.4f} → {one.sealed_after:.4f}"
        )
    yield from (f"changed since: {cause}" for cause in made.causes)
    yield f"verdict: {made.verdict} (ε = {made.epsilon:g})"


def _replay_lines(made: Replay) -> Iterator[str]:
    for one in made.submissions:
        rows, policy = (_SAME[same] for same in (one.same_rows, one.same_policy))
        yield f"submission {one.n}: rows {rows}, policy {policy}"
    yield "requests: " + (", ".join(f"{count} {kind}" for kind, count in made.counts().items()) or "none")
    for number, request in enumerate(made.requests, start=1):
        if request.kind not in NOT_SHOWN:
            recorded = request.recorded or "none"
            yield f"  request {number} (recorded {recorded}): {request.kind} at {request.where or '-'}"
            yield f"    then {one_line(request.before, 160)}"
            yield f"    now  {one_line(request.after, 160)}"
    if made.not_asked:
        yield f"recorded replies that were not asked for: {', '.join(map(str, made.not_asked))}"
    yield from (f"changed since: {cause}" for cause in made.causes)
    yield f"verdict: {made.verdict}"


_SAME = {True: "equal", False: "differ", None: "missing in one of the two"}
