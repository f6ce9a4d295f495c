"""``harness tasks | agents | scaffolds | engines``: what is installed, and which package brought it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from curation_harness.cli.options import as_json, load_registry, names_of
from curation_harness.console import stdout
from curation_harness.model_tables import field_texts, type_name
from curation_plugins.api import Agent, Task
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
@click.argument("name", required=False, shell_complete=names_of("agent"))
@as_json
def agents(name: str | None, as_json: bool) -> None:
    """List the agents, or show agent NAME with its options."""
    registry = load_registry()
    if name is None:
        _list(registry.agents, as_json)
        return
    agent = registry.agents.get(name)
    if as_json:
        click.echo(json.dumps(_described(agent), indent=1))
        return
    click.echo(f"{agent.name}: {agent.summary}")
    model = f"speaks the {' or '.join(agent.wires)} API" if agent.wires else "uses no model of itself"
    click.echo(f"model: {'needed; ' if agent.needs_model else ''}{model}")
    options = _described(agent)["options"]
    click.echo("options, set with --agent-option KEY=VALUE:" if options else "options: none")
    table = Table(box=None, pad_edge=False, show_header=False)
    for option in options:
        table.add_row(
            f"  {option['name']}", option["type"], Text(f"default {option['default']}"), Text(option["meaning"])
        )
    stdout().print(table)


def _described(agent: Agent) -> dict[str, Any]:
    meanings = field_texts(agent.options_class)
    return {
        "name": agent.name,
        "summary": agent.summary,
        "wires": list(agent.wires),
        "needs_model": agent.needs_model,
        "options": [
            {
                "name": name,
                "type": type_name(field.annotation),
                "default": field.default,
                "meaning": meanings.get(name, ""),
            }
            for name, field in agent.options_class.model_fields.items()
        ],
    }


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
