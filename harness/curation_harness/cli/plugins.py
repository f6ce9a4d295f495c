"""``harness tasks | agents | scaffolds | engines``: what is installed, and which package brought it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
from rich.table import Table

from curation_harness.cli.options import as_json, load_registry
from curation_harness.console import stdout
from curation_plugins.api import Task
from curation_plugins.registry import Kind


def _summary(thing: Any) -> str:
    return thing.config.title if isinstance(thing, Task) else str(thing.summary)


def _list(kind: Kind[Any], as_json: bool) -> None:
    things: Iterable[Any] = kind
    rows = [
        {
            "name": thing.name,
            "summary": _summary(thing),
            "package": kind.provider(thing.name).distribution,
            "version": kind.provider(thing.name).version,
        }
        for thing in things
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    table.add_column("package", style="dim")
    for row in rows:
        table.add_row(row["name"], row["summary"], f"{row['package']} {row['version']}")
    stdout().print(table)


@click.command()
@as_json
def tasks(as_json: bool) -> None:
    """List the tasks."""
    _list(load_registry().tasks, as_json)


@click.command()
@as_json
def agents(as_json: bool) -> None:
    """List the agents."""
    _list(load_registry().agents, as_json)


@click.command()
@as_json
def scaffolds(as_json: bool) -> None:
    """List the scaffolds."""
    _list(load_registry().scaffolds, as_json)


@click.command()
@as_json
def engines(as_json: bool) -> None:
    """List the engines."""
    _list(load_registry().engines, as_json)
