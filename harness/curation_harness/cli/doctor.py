"""``harness doctor``."""

from __future__ import annotations

import json
import sys
from itertools import groupby

import click
from rich.table import Table
from rich.text import Text

from curation_harness import providers
from curation_harness.cli.options import as_json
from curation_harness.console import stdout
from curation_harness.report.plain import one_line
from curation_sandbox import conformance
from curation_sandbox.judging import Property

_NAME, _DETAIL = 100, 1000
"""Characters that are shown: an image's programs and a model's server have a say in them."""


@click.command()
@click.option("--sandbox", is_flag=True, help="Only what holds inside a container; asks no model provider.")
@click.option("--image", default="base", show_default=True, help="Image whose container is looked at.")
@click.option(
    "--runtime",
    envvar="CURATION_RUNTIME",
    show_envvar=True,
    help="OCI runtime of the container, e.g. runsc (gVisor), as the engine knows it.",
)
@click.option("--base-url", help="Ask an openai-compatible server at this address, too.")
@as_json
def doctor(sandbox: bool, image: str, runtime: str | None, base_url: str | None, as_json: bool) -> None:
    """Say what holds on this machine and what is missing, with the fix.

    Starts a container and looks around from inside: network, capabilities, mounts, limits, sockets, system calls,
    users. Asks each model provider whose key is here whether the key is good. Exit code 1 if something is missing
    that runs need. A run makes the same checks before it starts, and does not start where one of them fails.
    """
    if sandbox:
        found, models = conformance.examine_sandbox(image, runtime or None), []
    else:
        found, models = conformance.examine(image, runtime or None), list(providers.examine(base_url))
    if as_json:
        click.echo(json.dumps([one.model_dump() for one in (*found, *models)], indent=1))
    else:
        _print(found, "weaker")
        click.echo(f"\n{_verdict(found)}")
    if models and not as_json:
        click.echo()
        _print(models, "no")
        usable = sum(one.holds for one in models)
        click.echo(f"\n{usable} of {len(models)} model providers can be used; an agent with a model needs one.")
    sys.exit(0 if all(one.holds for one in found if one.required) else 1)


def _print(found: list[Property], otherwise: str) -> None:
    """``otherwise``: the word for what does not hold and is not required."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for group, members in groupby(found, key=lambda one: one.group):
        for place, one in enumerate(members):
            detail = Text(one_line(one.detail, _DETAIL))
            if not one.holds and one.fix:
                detail.append(f"\n→ {one.fix}", style="bold")
            table.add_row(
                Text(group if place == 0 else ""), _mark(one, otherwise), Text(one_line(one.name, _NAME)), detail
            )
    stdout().print(table)


def _mark(one: Property, otherwise: str) -> Text:
    if one.holds:
        return Text("holds", style="green")
    return Text("MISSING", style="red") if one.required else Text(otherwise, style="yellow")


def _verdict(found: list[Property]) -> str:
    missing = sum(1 for one in found if not one.holds and one.required)
    weaker = sum(1 for one in found if not one.holds and not one.required)
    if missing:
        return f"Missing: {missing} of {len(found)}. Until it holds, runs cannot start or would not be isolated."
    if weaker:
        return f"Runs can start. {weaker} of {len(found)} could be stronger, as said above."
    return f"All {len(found)} hold."
