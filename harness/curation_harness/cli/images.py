"""``harness images build | list | save | load``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from curation_harness.cli.options import as_json
from curation_harness.console import stdout
from curation_sandbox import images as store
from curation_sandbox.images import ImageRef
from curation_sandbox.spec import format_size


@click.group()
def images() -> None:
    """Build, list, save and load the images that agents run in."""


@images.command()
@click.argument("names", nargs=-1)
@click.option("--base", help="Build on this image instead of bootstrapping one, e.g. debian:trixie-slim.")
@click.option("--force", is_flag=True, help="Build even if nothing changed.")
@as_json
def build(names: tuple[str, ...], base: str | None, force: bool, as_json: bool) -> None:
    """Build the images NAMES, or all of them; what is up to date is reused."""
    built = store.build(names, lambda line: click.echo(line, err=True), base=base, force=force)
    _print(built, as_json)


@images.command("list")
@as_json
def list_images(as_json: bool) -> None:
    """List the images that are here."""
    _print(store.list_images(), as_json)


@images.command()
@click.argument("name")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def save(name: str, path: Path) -> None:
    """Save image NAME to a file: mirrors drift, and a saved image makes a rerun possible years later."""
    store.save(name, path)
    click.echo(f"{name} → {path} ({format_size(path.stat().st_size)})")


@images.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def load(path: Path, as_json: bool) -> None:
    """Load the images in a saved file."""
    _print(store.load(path), as_json)


def _print(found: Iterable[ImageRef], as_json: bool) -> None:
    rows = [
        {
            "name": image.name,
            "digest": image.digest,
            "size": image.size,
            "created": image.created,
            "versions": image.versions,
            "labels": dict(image.labels),
        }
        for image in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo("No images yet. `harness images build` makes them.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "digest", "size", "age"):
        table.add_column(column, no_wrap=True)
    table.add_column("versions")
    for image in found:
        versions = ", ".join(f"{name} {version}" for name, version in image.versions.items())
        table.add_row(image.name, image.digest[:19], format_size(image.size), _age(image.created), versions)
    stdout().print(table)


def _age(created: str) -> str:
    try:
        then = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return created
    hours = (datetime.now(UTC) - then).total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
