"""``harness launch``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from curation_harness import launch as runs
from curation_harness import places
from curation_harness.cli.options import as_json, load_registry, named, run_dir, runs_folder
from curation_harness.cli.outcome import tell_outcome
from curation_harness.console import ConsoleWatcher, stdout
from curation_harness.planning.dry_run import describe
from curation_harness.planning.plan import LaunchOptions
from curation_harness.watcher import Watcher


@click.command()
@named("agent", "baseline")
@named("task", "llava-tiny")
@named("scaffold", "open")
@named("engine", "local")
@click.option("--iterations", type=click.IntRange(1), help="Attempts the agent may spend.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the run.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a number of the task.")
@click.option("--run-id", help="Name of the run.  [default: task, agent and time]")
@run_dir
@click.option(
    "--agent-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="Folder mounted read-only for the agent `command`.",
)
@click.option("--agent-arg", help='What the agent `command` runs, e.g. "python my.py".')
@click.option(
    "--agent-option", "agent_options", multiple=True, metavar="KEY=VALUE", help="Set an option of the agent."
)
@click.option("--model", help="PROVIDER/NAME, e.g. anthropic/claude-sonnet-4-5; for agents that use one.")
@click.option("--small-model", help="PROVIDER/NAME for the agent's small side jobs.  [default: --model]")
@click.option("--base-url", help="The provider's address before /v1, for a server of your own.")
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="NAME=IN/OUT",
    help="A model's price in dollars per million tokens, where it is not known or not yours.",
)
@click.option(
    "--reproduce-policy",
    is_flag=True,
    help="Run every submitted policy again on the host; refuse one that makes other rows.",
)
@click.option(
    "--runtime",
    envvar="CURATION_RUNTIME",
    show_envvar=True,
    help="OCI runtime of the containers, e.g. runsc (gVisor), as the engine knows it.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved plan and check it; start nothing.")
@as_json
def launch(
    agent: str,
    task: str,
    scaffold: str,
    engine: str,
    iterations: int | None,
    seed: int,
    overrides: tuple[str, ...],
    run_id: str | None,
    run_dir: Path | None,
    agent_dir: Path | None,
    agent_arg: str | None,
    agent_options: tuple[str, ...],
    model: str | None,
    small_model: str | None,
    base_url: str | None,
    prices: tuple[str, ...],
    reproduce_policy: bool,
    runtime: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run an agent on a task, in an isolated container, from first look to sealed score."""
    options = LaunchOptions(
        task=task,
        agent=agent,
        scaffold=scaffold,
        engine=engine,
        runs=runs_folder(run_dir),
        cache=places.cache(),
        seed=seed,
        run_id=run_id,
        iterations=iterations,
        overrides=overrides,
        agent_dir=agent_dir,
        agent_arg=agent_arg,
        agent_options=agent_options,
        model=model,
        small_model=small_model,
        base_url=base_url,
        prices=prices,
        reproduce_policy=reproduce_policy,
        runtime=runtime or None,
    )
    registry = load_registry()
    if dry_run:
        described = describe(options, registry)
        told = json.dumps(described.as_json(), indent=1) if as_json else described.as_text(stdout().width)
        click.echo(told)
        sys.exit(0 if described.fits else 1)
    with watching(as_json) as watcher:
        outcome = runs.launch(options, registry, watcher)
    sys.exit(tell_outcome(outcome, as_json))


class _Silent(Watcher):
    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def watching(as_json: bool) -> ConsoleWatcher | _Silent:
    """Progress on stderr, or none where stdout is for machines."""
    return _Silent() if as_json else ConsoleWatcher(Console(stderr=True))
