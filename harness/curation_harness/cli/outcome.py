"""How a command on a run ends: what it prints and the exit code."""

from __future__ import annotations

import click
from rich.console import Console

from curation_harness.errors import INTERRUPTED
from curation_harness.launch import Outcome
from curation_harness.record.summary import summarize
from curation_harness.report.terminal import SummaryView


def tell_outcome(outcome: Outcome, as_json: bool) -> int:
    """Print the summary and where the report is; the exit code says whether the run has its headline."""
    summary = summarize(outcome.record)
    if as_json:
        click.echo(summary.model_dump_json(indent=1))
    else:
        Console().print(SummaryView(summary))
        click.echo()
        if outcome.status == "unscored":
            click.echo(
                f"Interrupted. `harness resume {summary.run_id}` goes on,"
                f" `harness finish {summary.run_id}` scores it as it is."
            )
        if outcome.report is not None:
            click.echo(f"Report: {outcome.report}")
    return INTERRUPTED if outcome.status == "unscored" else 0
