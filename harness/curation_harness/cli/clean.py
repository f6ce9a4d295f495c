"""``harness clean``."""

from __future__ import annotations

import click

from curation_harness import leftovers, places
from curation_sandbox import engine as engines
from curation_sandbox.errors import EngineTooOld, EngineUnavailable


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(dry_run: bool) -> None:
    """Remove what killed runs left behind: containers, mounts, sockets, half-made files.

    What belongs to a run that is alive is never touched, and neither is a run's record.
    """
    try:
        engine = engines.connect()
    except (EngineUnavailable, EngineTooOld) as error:
        engine = None
        click.echo(f"Containers cannot be looked for. {error.message}", err=True)
    found = leftovers.find(engine, places.cache())
    for leftover in found:
        click.echo(f"{'would remove' if dry_run else 'removing'} {leftover.what}")
        if not dry_run:
            leftover.remove()
    if not found:
        click.echo("Nothing was left behind.")
