"""Options that several commands share, and the pieces every command starts with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from curation_harness import places
from curation_harness.record.store import RunRecord, run_ids
from curation_plugins import registry as registries
from curation_plugins.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["task", "agent", "scaffold", "engine"]
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def run_dir(command: F) -> F:
    return click.option(
        "--run-dir",
        type=click.Path(path_type=Path, file_okay=True),
        default=None,
        help="Folder of the runs.  [default: ./runs, or $CURATION_RUNS]",
    )(command)


def as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON only.")(command)


def a_run(command: F) -> F:
    return click.argument("run", default="last", shell_complete=complete_runs)(command)


def named(kind: Kind, default: str) -> Callable[[F], F]:
    """The option that names a registered thing, completed by the names there are."""
    return click.option(
        f"--{kind}", default=default, show_default=True, help=f"See `harness {kind}s`.", shell_complete=names_of(kind)
    )


def names_of(kind: Kind) -> Complete:
    """Shell completion by the registered names."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [thing.name for thing in getattr(registries.build(), f"{kind}s") if thing.name.startswith(incomplete)]

    return complete


def runs_folder(run_dir: Path | None) -> Path:
    return run_dir.resolve() if run_dir else places.runs()


def find_run(name: str, run_dir: Path | None) -> RunRecord:
    """The run a command names: an id, a unique prefix, a path, or ``last``."""
    return RunRecord.find(runs_folder(run_dir), name)


def load_registry() -> Registry:
    """All plugins; the broken ones are named on stderr and left out."""
    registry = registries.build()
    for broken in registry.broken:
        click.echo(
            click.style("warning: ", fg="yellow")
            + f"plugin {broken.plugin!r} of package {broken.distribution} is left out: {broken.reason}",
            err=True,
        )
    return registry


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion by the ids of the runs."""
    return [run for run in ["last", *run_ids(places.runs())] if run.startswith(incomplete)]
