"""Commands that read records: ``runs``, ``show``. They import nothing that a run needs, and so answer at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation_harness import places
from curation_harness.cli.options import a_run, as_json, find_run, load_registry, run_dir, runs_folder
from curation_harness.console import stdout
from curation_harness.errors import RunUnknown
from curation_harness.record.run_lines import Line, lines
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import summarize
from curation_harness.report import wording
from curation_harness.report.plain import one_line
from curation_harness.report.steps import StepsView
from curation_harness.report.terminal import SummaryView
from curation_harness.trajectory import building

_CELL: Final = 300
"""Characters of a cell: anybody's words, from a record that may be anybody's."""


@click.command()
@run_dir
@as_json
def runs(run_dir: Path | None, as_json: bool) -> None:
    """List the runs, the latest last."""
    folder = runs_folder(run_dir)
    if run_dir is not None and not folder.is_dir():
        raise RunUnknown(
            f"{folder}: no such folder", hint="Without --run-dir, runs are looked for in their usual place."
        )
    found = lines(folder, places.cache())
    if as_json:
        told = [{"folder": name, **line.model_dump(exclude_unset=True)} for name, line in found.items()]
        click.echo(json.dumps(told, indent=1))
        return
    if not found:
        click.echo(f"No runs in {folder}. `harness launch` makes one.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "status", "task", "agent", "attempts", "public", "sealed"):
        table.add_column(column, no_wrap=column == "run")
    for name, line in found.items():
        values = (line.status, line.task, line.agent, line.attempts, line.best_public, line.sealed)
        table.add_row(*map(_cell, (_named(name, line), *values)))
    stdout().print(table)
    for task, means in sorted({(line.task, wording.means(line.mean_of)) for line in found.values() if line.mean_of}):
        stdout().print(_cell(f"{task}: {means}"))


def _named(folder: str, line: Line) -> str:
    """A run goes by its folder's name; a copy's run has another one."""
    return folder if line.run == folder else f"{folder} (holds run {line.run})"


def _cell(value: object) -> Text:
    return Text("" if value is None else one_line(str(value), _CELL))


@click.command()
@a_run
@run_dir
@as_json
@click.option("--steps", is_flag=True, help="Every step of the agent; with --json, in the format ATIF.")
def show(run: str, run_dir: Path | None, as_json: bool, steps: bool) -> None:
    """Show RUN (an id, a unique beginning of one, a folder, or `last`)."""
    record = find_run(run, run_dir)
    if steps:
        _show_steps(record, as_json)
        return
    summary = summarize(record)
    if as_json:
        click.echo(summary.model_dump_json(indent=1))
    else:
        Console().print(SummaryView(summary))


def _show_steps(record: RunRecord, as_json: bool) -> None:
    found = None if record.held() else building.load(record)
    if found is None:
        used = record.spec.agent.name
        found = building.build(record, next((agent for agent in load_registry().agents if agent.name == used), None))
    if as_json:
        click.echo(found.model_dump_json(indent=1, exclude_none=True))
    else:
        stdout().print(StepsView(found))
