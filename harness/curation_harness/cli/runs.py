"""Commands that work on a run: ``report``, ``resume``, ``finish``."""

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
from curation_harness.record.sealing import note_beside_unless_busy
from curation_harness.report.html import write_report
from curation_harness.report.pool import installed


@click.command()
@a_run
@run_dir
def report(run: str, run_dir: Path | None) -> None:
    """Write the HTML report of RUN and print where it is."""
    record = find_run(run, run_dir)
    path = write_report(record, *installed(record.spec, load_registry(), places.cache()))
    note_beside_unless_busy(record, path.name)
    click.echo(path)


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
