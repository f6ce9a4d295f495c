"""``harness clean``."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from curation_harness import places
from curation_harness.cli.options import run_dir, runs_folder
from curation_harness.upkeep import disk, leftovers
from curation_sandbox import engine as engines
from curation_sandbox.engine import Engine
from curation_sandbox.errors import EngineTooOld, EngineUnavailable
from curation_sandbox.spec import format_size, parse_size

LEFTOVERS: Final = "leftovers"
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([mhdw])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age; 12h, 30d and 2w are.")
    return float(int(found[1]) * _SECONDS[found[2]])


def _bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None or value == "0":
        return None if value is None else 0
    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    epilog="KIND: leftovers (of killed runs; the default), "
    + "; ".join(f"{kind} ({what})" for kind, what in disk.KINDS.items())
    + "."
)
@click.option("--what", multiple=True, metavar="KIND", type=click.Choice([LEFTOVERS, *disk.KINDS]), help="See below.")
@click.option("--older-than", callback=_seconds, metavar="AGE", help="Only what was not used for so long, e.g. 30d.")
@click.option(
    "--max-size",
    callback=_bytes,
    metavar="SIZE",
    help="The longest unused, until the rest is at most this, e.g. 50g.",
)
@click.option("--run", "names", multiple=True, metavar="ID", help="Remove this run's record, for good.")
@run_dir
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(
    what: tuple[str, ...],
    older_than: float | None,
    max_size: int | None,
    names: tuple[str, ...],
    run_dir: Path | None,
    dry_run: bool,
) -> None:
    """Remove what killed runs left behind, and keep the disk bounded.

    What a process uses is never touched. A run's record goes only with --run, by its whole id.
    """
    if (older_than is not None or max_size is not None) and not set(what) & disk.KINDS.keys():
        raise click.UsageError("--older-than and --max-size need --what KIND, other than leftovers")
    with ExitStack() as stack:
        cleaner = _Cleaner(_engine(stack, what or (() if names else (LEFTOVERS,))), runs_folder(run_dir), dry_run)
        if LEFTOVERS in what or not (what or names):
            cleaner.leftovers()
        if set(what) & disk.KINDS.keys():
            cleaner.kept(what, disk.Policy(older_than, max_size))
        for name in names:
            cleaner.run(name)
        cleaner.tell()


def _engine(stack: ExitStack, kinds: Sequence[str]) -> Engine | None:
    """Connected to where something of the engine's is looked for."""
    if not {LEFTOVERS, "images"} & set(kinds):
        return None
    try:
        return stack.enter_context(engines.connect())
    except (EngineUnavailable, EngineTooOld) as error:
        click.echo(f"Containers and images cannot be looked for. {error.message}", err=True)
        return None


class _Cleaner:
    def __init__(self, engine: Engine | None, runs: Path, dry_run: bool) -> None:
        self._engine = engine
        self._runs = runs
        self._dry_run = dry_run
        self._doing = "would remove" if dry_run else "removing"
        self._found = False
        self._bytes = 0

    def leftovers(self) -> None:
        for leftover in leftovers.find(self._engine, places.cache(), self._runs):
            self._say(leftover.what)
            if not self._dry_run:
                leftover.remove()

    def kept(self, kinds: Sequence[str], policy: disk.Policy) -> None:
        there = disk.find(kinds, places.cache(), self._runs, self._engine)
        now = time.time()
        for one in there:
            if one.in_use:
                self._found = True
                click.echo(f"in use, and stays: {one.what} ({format_size(one.size)})")
        for one in policy.lets_go(there, now):
            days = max(0.0, now - one.used) / 86_400
            self._say(f"{one.what} ({format_size(one.size)}, last used {days:.0f} days ago)")
            if self._dry_run or self._removed(one):
                self._bytes += one.size

    def _removed(self, one: disk.Kept) -> bool:
        try:
            removed = one.remove()
        except OSError as error:  # the rest can go all the same
            click.echo(f"it cannot be removed and stays: {one.what}: {error.strerror or error}")
            return False
        if not removed:
            click.echo(f"it is in use after all and stays: {one.what}")
        return removed

    def run(self, name: str) -> None:
        size = disk.size_of_run(self._runs, name)
        self._say(f"the record of run {name} ({format_size(size)})")
        if not self._dry_run:
            disk.remove_run(self._runs, name)
        self._bytes += size

    def tell(self) -> None:
        if not self._found:
            click.echo("Nothing was left behind.")
        elif self._bytes:
            click.echo(f"{'would free' if self._dry_run else 'freed'} {format_size(self._bytes)}")

    def _say(self, what: str) -> None:
        self._found = True
        click.echo(f"{self._doing} {what}")
