"""``harness references`` and ``harness noise``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from curation_harness import launch as work
from curation_harness import places
from curation_harness.cli.launch import watching
from curation_harness.cli.options import as_json, load_registry, named, names_of
from curation_harness.console import stdout
from curation_harness.errors import OptionInvalid
from curation_harness.measure import references as tables
from curation_harness.record import files
from curation_harness.record.measures import Noise
from curation_harness.record.models import Origin, ReferenceTable
from curation_harness.record.scheme import Scheme
from curation_harness.record.summary import floor, reference_line
from curation_harness.report import wording
from curation_plugins import assets as task_assets
from curation_plugins import config
from curation_plugins.api import Task


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
@click.option("--measured-by", help="With --import: who measured it.")
@click.option("--model", help="With --import: the model that was trained, with its revision.")
@click.option("--recipe", help="With --import: the recipe it was trained by.")
@click.option("--note", default="", help="With --import: what else a reader must know.")
@click.option("--other-digests", is_flag=True, help="With --import: even if its pool or recipe is another one.")
@as_json
def references(
    task: str,
    engine: str,
    overrides: tuple[str, ...],
    export: Path | None,
    imported: Path | None,
    measured_by: str | None,
    model: str | None,
    recipe: str | None,
    note: str,
    other_digests: bool,
    as_json: bool,
) -> None:
    """Measure the selections that runs on TASK are compared with; what is done is kept."""
    registry = load_registry()
    chosen = registry.tasks.get(task)
    chosen = chosen.with_config(config.override(chosen.config, overrides))
    origin = _origin(imported, measured_by, model, recipe, note, other_digests)
    with watching(as_json) as watcher:
        if imported is not None:
            assets = task_assets.ensure(places.cache(), chosen, watcher.progress)
            table = tables.import_table(places.cache(), chosen, assets, imported, origin, other_digests)
        else:
            table = work.measure_references(chosen, registry, engine, places.cache(), watcher)
    if export is not None:
        files.write_model(export, table)
    click.echo(table.model_dump_json(indent=1)) if as_json else _print(table, chosen)


def _origin(
    imported: Path | None,
    measured_by: str | None,
    model: str | None,
    recipe: str | None,
    note: str,
    other_digests: bool,
) -> Origin | None:
    said = [measured_by, model, recipe]
    if imported is None and (any(said) or note or other_digests):
        raise OptionInvalid("where a table comes from was said, and none is imported", hint="Add --import FILE.")
    if not any(said):
        return None
    if measured_by is None or model is None or recipe is None:
        raise OptionInvalid(
            "an imported table needs all of who, model and recipe",
            hint="Give --measured-by, --model and --recipe together.",
        )
    return Origin(measured_by=measured_by, model=model, recipe=recipe, note=note)


@click.command()
@click.argument("task", shell_complete=names_of("task"))
@named("engine", "local")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a number of the task.")
@click.option(
    "--seeds", type=click.IntRange(2), default=8, show_default=True, help="Training seeds of one random selection."
)
@click.option(
    "--evaluations",
    type=click.IntRange(2),
    default=3,
    show_default=True,
    help="Evaluations of one trained model, each by fresh workers.",
)
@as_json
def noise(task: str, engine: str, overrides: tuple[str, ...], seeds: int, evaluations: int, as_json: bool) -> None:
    """Measure how far the score of one selection on TASK moves by itself; what is done is kept."""
    registry = load_registry()
    chosen = registry.tasks.get(task)
    chosen = chosen.with_config(config.override(chosen.config, overrides))
    with watching(as_json) as watcher:
        found = work.measure_noise(chosen, registry, engine, places.cache(), watcher, seeds, evaluations)
    click.echo(found.model_dump_json(indent=1)) if as_json else _print_noise(found)


def _print(table: ReferenceTable, task: Task) -> None:
    shown = Table(box=None, pad_edge=False)
    for column in ("reference", "seeds", "rows", "public", "sd", "sealed", "sd", "all items", "sd", "precision"):
        shown.add_column(column, justify="left" if column == "reference" else "right")
    for arm in table.arms:
        line = reference_line(arm)
        truths = [seed.truth.precision for seed in arm.seeds if seed.truth]
        shown.add_row(
            line.name,
            str(line.seeds),
            str(arm.seeds[0].rows),
            *_mean_and_sd(line.public, line.public_sd),
            *_mean_and_sd(line.sealed, line.sealed_sd),
            *_mean_and_sd(line.all_items, line.all_items_sd),
            f"{sum(truths) / len(truths):.2f}" if truths else "",
        )
    stdout().print(shown)
    click.echo(wording.means(Scheme.of(task).kept(task.mean_name).mean_of))
    value = floor(table)
    if value is not None:
        click.echo(f"noise floor of public scores: {value:.4f}")
    if table.origin is not None:
        click.echo(wording.origin(table.origin))
    if table.noise is not None:
        _print_noise(table.noise)


def _mean_and_sd(mean: float, sd: float | None) -> tuple[str, str]:
    return f"{mean:.4f}", "" if sd is None else f"{sd:.4f}"


def _print_noise(found: Noise) -> None:
    for sentence in wording.measured_noise(found):
        click.echo(sentence)
