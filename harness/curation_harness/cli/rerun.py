"""``harness rerun``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from curation_harness import places
from curation_harness.cli.launch import watching
from curation_harness.cli.options import a_run, as_json, find_run, load_registry, run_dir
from curation_harness.cli.outcome import tell_outcome
from curation_harness.errors import RerunDiffers
from curation_harness.launch import Outcome
from curation_harness.replay.compare import NOT_SHOWN
from curation_harness.replay.verdict import Replay
from curation_harness.report.plain import one_line
from curation_harness.rerun import commands
from curation_harness.rerun.stages import Cause, Rerun, Stage


@click.command()
@a_run
@click.option("--submissions", is_flag=True, help="Train and score the same submissions again.")
@click.option("--replay", is_flag=True, help="Run the agent again on its recorded model traffic.")
@click.option("--live", is_flag=True, help="Launch the same spec as a new run, with new model traffic.")
@click.option("--against", metavar="RUN", help="With --live: compare with this run; launch none.")
@click.option(
    "--epsilon",
    type=click.FloatRange(0),
    default=0.005,
    show_default=True,
    help="Largest change of a mean that counts as within ε.",
)
@run_dir
@as_json
def rerun(
    run: str,
    submissions: bool,
    replay: bool,
    live: bool,
    against: str | None,
    epsilon: float,
    run_dir: Path | None,
    as_json: bool,
) -> None:
    """Do a part of RUN again and compare, stage by stage; exit code 49 if it comes out differently.

    --submissions needs no agent: it trains and scores what was submitted. --replay needs no key, no network and no
    training: the agent gets the recorded replies of its model and the recorded scores, and should submit the same.
    --live launches the recorded spec under a new id, and spends what a run spends.
    """
    if submissions + replay + live != 1:
        raise click.UsageError(
            "say what to do again: --submissions, --replay or --live; each is a command of its own"
        )
    if against is not None and not live:
        raise click.UsageError("--against names the new run of --live")
    if not math.isfinite(epsilon):
        raise click.UsageError("--epsilon is a number")
    record = find_run(run, run_dir)
    made: Rerun | Replay | Outcome
    with watching(as_json) as watcher:
        if against is not None:
            made = commands.against(record, find_run(against, run_dir), epsilon, watcher)
        elif live:
            made = commands.again_live(record, load_registry(), places.cache(), epsilon, watcher)
        elif replay:
            made = commands.replay(record, load_registry(), places.cache(), watcher)
        else:
            made = commands.again_by_submissions(record, load_registry(), places.cache(), epsilon, watcher)
    if isinstance(made, Outcome):
        code = tell_outcome(made, as_json)
        if not as_json:
            new = made.record.spec.run_id
            click.echo(f"When it has ended, `harness rerun {record.spec.run_id} --live --against {new}` compares.")
        sys.exit(code)
    click.echo(made.model_dump_json(indent=1) if as_json else "\n".join(_lines(made)))
    sys.exit(RerunDiffers.exit_code if made.verdict == "differs" else 0)


def _lines(made: Rerun | Replay) -> Iterator[str]:
    yield from _stages(made.stages)
    if isinstance(made, Replay):
        yield from _requests(made)
    elif made.record is not None:
        yield f"the new run: {made.record}"
    yield from _changes(made.causes)
    yield f"verdict: {made.verdict}" + ("" if isinstance(made, Replay) else f" (ε = {made.epsilon:g})")


def _stages(stages: Sequence[Stage]) -> Iterator[str]:
    width = max((len(stage.name) for stage in stages), default=0)
    for stage in stages:
        value = "" if stage.value is None or stage.verdict == "equal" else f"{stage.measure} {stage.value:.4g}"
        told = "; ".join(part for part in (stage.detail, value) if part)
        yield f"{stage.name:<{width}}  {stage.verdict:<14}  {told}".rstrip()
        yield from (f"{'':<{width}}    because {why}" for why in stage.why)


def _requests(made: Replay) -> Iterator[str]:
    yield "requests: " + (", ".join(f"{count} {kind}" for kind, count in made.counts().items()) or "none")
    for number, request in enumerate(made.requests, start=1):
        if request.kind not in NOT_SHOWN:
            recorded = request.recorded or "none"
            yield f"  request {number} (recorded {recorded}): {request.kind} at {request.where or '-'}"
            yield f"    then {one_line(request.before, 160)}"
            yield f"    now  {one_line(request.after, 160)}"
    if made.not_asked:
        yield f"recorded replies that were not asked for: {', '.join(map(str, made.not_asked))}"


def _changes(causes: Sequence[Cause]) -> Iterator[str]:
    yield from (f"changed since: {cause}" for cause in causes)
