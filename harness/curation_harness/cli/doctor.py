"""``harness doctor``."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation_harness.cli.options import as_json
from curation_sandbox import conformance
from curation_sandbox.conformance import Property


@click.command()
@click.option("--image", default="base", show_default=True, help="Image whose container is looked at.")
@as_json
def doctor(image: str, as_json: bool) -> None:
    """Say what holds on this machine and what is missing, with the fix."""
    found = conformance.examine(image)
    if as_json:
        click.echo(json.dumps([one.model_dump() for one in found], indent=1))
    else:
        _print(found)
    sys.exit(0 if all(one.holds for one in found) else 1)


def _print(found: list[Property]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for one in found:
        mark = Text("holds  ", style="green") if one.holds else Text("missing", style="red")
        text = Text(f"{one.name}: {one.detail}")
        if not one.holds and one.fix:
            text.append(f"\n→ {one.fix}", style="bold")
        table.add_row(mark, text)
    Console().print(table)
