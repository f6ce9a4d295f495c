"""Commands that work on a run: ``report``, ``resume``, ``finish``, ``rerun``."""

from __future__ import annotations

import sys
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
from curation_harness.report.html import write_report
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
@click.option("--submissions", is_flag=True, required=True, help="Train and score the same submissions again.")
@click.option(
    "--epsilon",
    type=click.FloatRange(0),
    default=0.005,
    show_default=True,
    help="Largest difference of a mean that counts as within ε.",
)
@run_dir
@as_json
def rerun(run: str, submissions: bool, epsilon: float, run_dir: Path | None, as_json: bool) -> None:
    """Train and score the submissions of RUN again and compare; exit code 49 if a score differs."""
    with watching(as_json) as watcher:
        made = work.rerun_submissions(find_run(run, run_dir), load_registry(), places.cache(), epsilon, watcher)
    if as_json:
        click.echo(made.model_dump_json(indent=1))
    else:
        for one in made.attempts:
            click.echo(
                f"attempt {one.n}: {one.verdict:<14} public {one.public_before:.4f} → {one.public_after:.4f},"
                f" sealed {one.sealed_before:.4f} → {one.sealed_after:.4f}"
            )
        for cause in made.causes:
            click.echo(f"changed since: {cause}")
        click.echo(f"verdict: {made.verdict} (ε = {made.epsilon:g})")
    sys.exit(RerunDiffers.exit_code if made.verdict == "differs" else 0)
