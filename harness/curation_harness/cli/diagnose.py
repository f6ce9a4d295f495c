"""The command ``diagnose``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from curation_harness import places
from curation_harness.cli.options import as_json, complete_runs, find_run, load_registry, run_dir, runs_folder
from curation_harness.console import stdout
from curation_harness.diagnostics.agreement import Agreement, agree
from curation_harness.diagnostics.comparison import Comparison, compare
from curation_harness.diagnostics.corpus import read_corpus
from curation_harness.diagnostics.diagnosis import RunDiagnosis, diagnose
from curation_harness.diagnostics.labels import label
from curation_harness.diagnostics.tries import read_run
from curation_harness.errors import OptionInvalid
from curation_harness.record import files
from curation_harness.record.sealing import note_beside_unless_busy
from curation_harness.record.store import RunRecord
from curation_harness.report.agreement_view import AgreementView
from curation_harness.report.diagnosis import PAGE, render
from curation_harness.report.diagnosis_view import DiagnosisView
from curation_harness.report.pool import installed, view
from curation_plugins.registry import Registry


@click.command(name="diagnose")
@click.argument("run", nargs=-1, shell_complete=complete_runs)
@click.option("--html", is_flag=True, help="Write a page with pictures and print where it is.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="With --html: the file to write.  [default: diagnosis.html in the run's folder; of several runs, in the"
    " folder of the runs]",
)
@click.option(
    "--corpus",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="Instead of runs: label the policies of a corpus and compare with the labels written there.",
)
@run_dir
@as_json
def diagnose_runs(
    run: tuple[str, ...], html: bool, out: Path | None, corpus: Path | None, run_dir: Path | None, as_json: bool
) -> None:
    """Say what the attempts of RUN … did: label each with its evidence, and compare the runs.

    A run is named as for `harness show`; without one it is the last. The labels are defined in docs/diagnostics.md.
    """
    if out is not None and not html:
        raise OptionInvalid("--out names the page that --html writes", hint="Add --html.")
    if corpus is not None:
        if run or html:
            raise OptionInvalid("--corpus goes without runs and without --html")
        _show(agree(read_corpus(corpus), label), as_json)
        return
    records = _distinct(find_run(name, run_dir) for name in run or ("last",))
    registry = load_registry()
    found = compare([_diagnosed(record, registry) for record in records])
    if html:
        page = out or (records[0].folder if len(records) == 1 else runs_folder(run_dir)) / PAGE
        files.write(page, render(found).encode())
        if len(records) == 1 and page.parent == records[0].folder:
            note_beside_unless_busy(records[0], page.name)
        click.echo(page)
    else:
        _show(found, as_json)


def _distinct(named: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs in the order named, each once however it is named.

    Raises:
        OptionInvalid: two folders hold the same run, which would count as two.
    """
    runs: dict[Path, RunRecord] = {record.folder.resolve(): record for record in named}
    seen: dict[tuple[str, str], RunRecord] = {}
    for record in runs.values():
        other = seen.setdefault((record.spec.run_id, record.spec.created), record)
        if other is not record:
            raise OptionInvalid(
                f"{other.folder} and {record.folder} are the same run, {record.spec.run_id}",
                hint="Name one of them: the run is the unit of the comparison.",
            )
    return list(runs.values())


def _show(found: Comparison | Agreement, as_json: bool) -> None:
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        stdout().print(DiagnosisView(found) if isinstance(found, Comparison) else AgreementView(found))


def _diagnosed(record: RunRecord, registry: Registry) -> RunDiagnosis:
    task, assets = installed(record.spec, registry, places.cache())
    return diagnose(read_run(record, view(record.spec, task, assets).sources), label)
