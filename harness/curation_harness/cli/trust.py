"""Commands on whole records: ``verify``, ``export``, ``import``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from curation_harness import archive, places
from curation_harness.cli.options import a_run, as_json, find_run, load_registry, run_dir, runs_folder
from curation_harness.errors import RecordInvalid
from curation_harness.record import sealing
from curation_harness.record.layout import BESIDE
from curation_harness.record.store import RunRecord
from curation_sandbox import owners
from curation_sandbox.spec import parse_size


@click.command()
@a_run
@click.option("--root", metavar="DIGEST", help="The root digest that was printed when the run ended.")
@run_dir
@as_json
def verify(run: str, root: str | None, run_dir: Path | None, as_json: bool) -> None:
    """Check RUN, or a file that `harness export` wrote, from its files alone; exit code 44 if something does not fit.

    Every file is held against the record's list, every content against its name, the events against the order they
    can come in, the ledger against what it was spent on, every score against the item results it is made of, and
    these, where the task's files are here, against what the model said. The first thing that does not fit is named.

    Whoever can change a record can write its list anew; with --root only that very record is accepted.
    """
    from curation_harness.verification.verify import verify as check  # reads every type of file there is
    from curation_harness.verification.verify import what_is_here

    wanted = _digest(root)
    with _record(run, run_dir) as record:
        found = check(record, what_is_here(record, load_registry(), places.cache()), wanted)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        for one in found.checks:
            mark = "" if one.outcome == "holds" else "not checked: "
            click.echo(f"{one.name:<14} {mark}{one.detail}")
        if found.root is not None:
            click.echo(f"root           {found.root}")
    if found.problem is None:
        if not as_json:
            click.echo(f"Run {found.run_id} ({found.status}): everything that was checked fits.")
        return
    if as_json:
        sys.exit(RecordInvalid.exit_code)
    hint = "What was changed, and when, cannot be told; a copy may be whole."
    if BESIDE in found.problem:
        hint = f"`harness report {found.run_id}` writes the report anew, and lists what is not listed yet."
    raise RecordInvalid(found.problem, hint=hint)


@click.command()
@a_run
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The file, or a folder for it.  [default: RUN.run.zip here]",
)
@click.option("--models", is_flag=True, help="With the trained models that are kept.")
@run_dir
def export(run: str, output: Path, models: bool, run_dir: Path | None) -> None:
    """Write RUN's record into one file: a zip that `harness import` opens and `harness verify` checks.

    The agent's disks stay here: an interrupted run can be finished elsewhere, but not resumed.
    """
    record = find_run(run, run_dir)
    click.echo(archive.export(record, output, models=models))
    root = sealing.root(record.folder)
    if root is not None:
        click.echo(f"Root: {root}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--max-size", default="256g", show_default=True, help="Most that it may unpack to.")
@run_dir
def import_record(file: Path, max_size: str, run_dir: Path | None) -> None:
    """Open FILE, which `harness export` wrote, among the runs here.

    Nothing of it is run. It is unpacked whole or not at all, and refused if its files are not those that it lists;
    `harness verify` checks the rest.
    """
    try:
        most = parse_size(max_size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--max-size") from None
    record = archive.bring_in(file, runs_folder(run_dir), max_bytes=most)
    click.echo(record.folder)
    root = sealing.root(record.folder)
    click.echo("Root: none; the run was not over when it was exported" if root is None else f"Root: {root}")


def _digest(given: str | None) -> str | None:
    if given is None:
        return None
    found = given.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise click.UsageError(f"--root {given!a}: 64 hexadecimal digits, as printed at the run's end")
    return found


@contextmanager
def _record(run: str, run_dir: Path | None) -> Iterator[RunRecord]:
    """The record of a run, or the one in a file, for as long as it is looked at."""
    if Path(run).is_file():
        with (
            owners.scratch() as below,
            archive.unpacked(Path(run), below) as record,
        ):
            yield record
    else:
        yield find_run(run, run_dir)
