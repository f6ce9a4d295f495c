"""``harness clean``."""

from __future__ import annotations

import click

from curation_sandbox import reaper


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(dry_run: bool) -> None:
    """Remove containers and mounts that killed runs left behind; never those of a run that is alive."""
    found = reaper.leftovers()
    for leftover in found:
        click.echo(f"{'would remove' if dry_run else 'removing'} {leftover}")
        if not dry_run:
            reaper.remove(leftover)
    if not found:
        click.echo("Nothing was left behind.")
