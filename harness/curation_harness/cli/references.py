"""``harness references``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from curation_harness import launch as work
from curation_harness import places
from curation_harness import references as tables
from curation_harness.cli.launch import watching
from curation_harness.cli.options import as_json, load_registry, named, names_of
from curation_harness.console import stdout
from curation_harness.record import files
from curation_harness.record.models import ReferenceTable
from curation_harness.record.summary import floor, reference_line
from curation_plugins import assets as task_assets
from curation_plugins import config


@click.command()
@click.argument("task", shell_complete=names_of("task"))
@named("engine", "local")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a number of the task.")
@click.option("--export", type=click.Path(path_type=Path), help="Also write the table to this file.")
@click.option(
    "--import",
    "imported",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take over a table that was measured elsewhere, instead of measuring.",
)
@as_json
def references(
    task: str,
    engine: str,
    overrides: tuple[str, ...],
    export: Path | None,
    imported: Path | None,
    as_json: bool,
) -> None:
    """Measure the selections that runs on TASK are compared with; what is done is kept."""
    registry = load_registry()
    chosen = registry.tasks.get(task)
    chosen = chosen.with_config(config.override(chosen.config, overrides))
    with watching(as_json) as watcher:
        if imported is not None:
            assets = task_assets.ensure(places.cache(), chosen, watcher.progress)
            table = tables.import_table(places.cache(), chosen, assets, imported)
        else:
            table = work.measure_references(chosen, registry, engine, places.cache(), watcher)
    if export is not None:
        files.write_model(export, table)
    click.echo(table.model_dump_json(indent=1)) if as_json else _print(table)


def _print(table: ReferenceTable) -> None:
    shown = Table(box=None, pad_edge=False)
    for column in ("reference", "seeds", "rows", "public", "sd", "sealed", "sd", "precision"):
        shown.add_column(column, justify="left" if column == "reference" else "right")
    for arm in table.arms:
        line = reference_line(arm)
        truths = [seed.truth.precision for seed in arm.seeds if seed.truth]
        shown.add_row(
            line.name,
            str(line.seeds),
            str(arm.seeds[0].rows),
            f"{line.public:.4f}",
            "" if line.public_sd is None else f"{line.public_sd:.4f}",
            f"{line.sealed:.4f}",
            "" if line.sealed_sd is None else f"{line.sealed_sd:.4f}",
            f"{sum(truths) / len(truths):.2f}" if truths else "",
        )
    stdout().print(shown)
    noise = floor(table)
    if noise is not None:
        click.echo(f"noise floor of public scores: {noise:.4f}")
