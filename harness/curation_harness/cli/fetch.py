"""``harness fetch``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from curation_harness import fetch as fetching
from curation_harness import places
from curation_harness.cli.launch import watching
from curation_harness.cli.options import as_json, load_registry, names_of
from curation_harness.console import QUIET_SECONDS, stdout
from curation_harness.fetch import Piece
from curation_plugins import assets as task_assets
from curation_plugins import config
from curation_plugins.hub.wanted import Want
from curation_sandbox.spec import format_size


@click.command()
@click.argument("task", shell_complete=names_of("task"))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a number of the task.")
@click.option(
    "--have",
    multiple=True,
    metavar="NAME=PATH",
    help="Use a folder (unpacked images, a model) or file of yours instead of fetching it; NAME= undoes that.",
)
@click.option("--list", "only_list", is_flag=True, help="Say what the task needs and what is here; fetch nothing.")
@click.option("--verify", "thorough", is_flag=True, help="Also hash every file of a task that was made before.")
@as_json
def fetch(
    task: str, overrides: tuple[str, ...], have: tuple[str, ...], only_list: bool, thorough: bool, as_json: bool
) -> None:
    """Fetch what TASK is made of (pool, model, benchmark files), check it, and make the task's files.

    A download that broke off goes on where it stopped. Tasks with the same pool or model share them.
    """
    registry = load_registry()
    chosen = registry.tasks.get(task)
    chosen = chosen.with_config(config.override(chosen.config, overrides))
    cache = places.cache()
    fetching.adopt(chosen, chosen.downloads(), cache, have)
    if not only_list:
        with metered(silent=as_json) as meter:
            fetching.fetch(chosen, cache, meter)
        with watching(as_json) as watcher:
            fetching.prepare(chosen, cache, watcher, thorough=thorough)
    made, pieces = task_assets.folder(cache, chosen), fetching.pieces(chosen, cache)
    if as_json:
        told = {"task": task, "folder": str(made), "made": made.is_dir(), "lacking": list(chosen.lacking())}
        click.echo(json.dumps(told | {"pieces": [piece.as_json() for piece in pieces]}, indent=1))
        return
    _print(pieces)
    for line in chosen.lacking():
        click.echo(f"missing, and no fetch brings it: {line}")
    click.echo(f"{made} {'is complete' if made.is_dir() else 'is not made yet'}")


def _print(pieces: Sequence[Piece]) -> None:
    shown = Table(box=None, pad_edge=False)
    for column in ("name", "what", "size", "here", "from"):
        shown.add_column(column, justify="right" if column == "size" else "left")
    for piece in pieces:
        size = format_size(piece.bytes) if piece.bytes else "?"
        shown.add_row(piece.want.name, piece.want.what, size, _here(piece), piece.want.origin)
    if pieces:
        stdout().print(shown)


def _here(piece: Piece) -> str:
    if piece.own is None:
        return "yes" if piece.here else "no"
    return f"yes, yours: {escape(str(piece.own))}" if piece.here else f"no: yours, {escape(str(piece.own))}, is gone"


@contextmanager
def metered(*, silent: bool) -> Iterator[Callable[[Want, str, int, int | None], None]]:
    """Shows bytes, speed and time left on a terminal, a line now and then in a pipe."""
    console = Console(stderr=True)
    if silent:
        yield lambda want, what, have, total: None
    elif console.is_terminal:
        columns = (DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
        words = TextColumn("{task.description}", markup=False)
        with Progress(words, BarColumn(bar_width=24), *columns, console=console) as progress:
            tasks = {}

            def live(want: Want, what: str, have: int, total: int | None) -> None:
                if want.key not in tasks:
                    tasks[want.key] = progress.add_task(want.what, total=total)
                progress.update(tasks[want.key], description=f"{want.what}: {what}", completed=have, total=total)

            yield live
    else:
        yield _Lines()


class _Lines:
    """A line when another thing begins, and every so often."""

    def __init__(self) -> None:
        self._said = ("", 0.0)

    def __call__(self, want: Want, what: str, have: int, total: int | None) -> None:
        name, when = self._said
        if name != f"{want.key} {what}" or time.monotonic() - when > QUIET_SECONDS:
            self._said = (f"{want.key} {what}", time.monotonic())
            of = f" of {format_size(total)}" if total else ""
            sys.stderr.write(f"  {want.what}: {what}, {format_size(have)}{of}\n")
