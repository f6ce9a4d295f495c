"""``harness signals``."""

from __future__ import annotations

import json

import click

from curation_harness import fetch as fetching
from curation_harness import launch as work
from curation_harness import places
from curation_harness.cli.fetch import metered
from curation_harness.cli.launch import watching
from curation_harness.cli.options import as_json, load_registry, named, names_of
from curation_harness.measure import shipped_signals
from curation_plugins import assets as task_assets
from curation_plugins import config
from curation_plugins.hub.store import Store


@click.command()
@click.argument("task", shell_complete=names_of("task"))
@named("engine", "local")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a number of the task.")
@click.option(
    "--have",
    multiple=True,
    metavar="NAME=PATH",
    help="Use a model folder of yours instead of fetching it; NAME= undoes that.",
)
@as_json
def signals(task: str, engine: str, overrides: tuple[str, ...], have: tuple[str, ...], as_json: bool) -> None:
    """Measure the signals that ship with TASK's pool, so that agents can begin without asking for any.

    Goes over the whole pool; broken off, it goes on where it stopped.
    """
    registry = load_registry()
    chosen = registry.tasks.get(task)
    chosen = chosen.with_config(config.override(chosen.config, overrides))
    cache, wanted = places.cache(), shipped_signals.wants(chosen)
    fetching.adopt(chosen, wanted, cache, have)
    task_assets.require_downloads(cache, chosen)  # before a model is fetched for a pool that is not here
    store = Store(cache)
    missing = store.missing(wanted)
    if missing:
        with metered(silent=as_json) as meter:
            fetching.bring(store, missing, meter)
    with watching(as_json) as watcher:
        done = work.ship_signals(chosen, registry, engine, cache, watcher)
    if as_json:
        shown = {"task": task, "folder": str(done.folder), "signals": done.signals, "rows": done.rows}
        click.echo(json.dumps(shown | {"measured": done.measured, "seconds": done.seconds}, indent=1))
    elif not done.signals:
        click.echo(f"the signals of task {task} are made with its files, or it ships none")
    else:
        told = f"{', '.join(done.signals)} over {done.rows} rows"
        click.echo(f"{done.folder}: {told}; {done.measured} values measured now in {done.seconds:.0f} s")
