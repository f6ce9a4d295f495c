"""The command ``harness``: parse, call, print. One module a group of commands, imported when it is used."""

from __future__ import annotations

import difflib
import errno
import importlib
import signal
import sys
import threading
import traceback

import click
from click.shell_completion import CompletionItem

from curation_harness.errors import INTERRUPTED
from curation_sandbox import __version__
from curation_sandbox.errors import CurationError, DiskFull

COMMANDS = {
    "launch": ("curation_harness.cli.launch:launch", "Run an agent on a task."),
    "resume": ("curation_harness.cli.runs:resume", "Go on with an interrupted run."),
    "finish": ("curation_harness.cli.runs:finish", "Score an interrupted run as it stands."),
    "rerun": ("curation_harness.cli.rerun:rerun", "Do a part of a run again, and compare."),
    "runs": ("curation_harness.cli.records:runs", "List the runs."),
    "show": ("curation_harness.cli.records:show", "Show one run."),
    "report": ("curation_harness.cli.runs:report", "Write a run's HTML report."),
    "verify": ("curation_harness.cli.trust:verify", "Check that a record is what it was."),
    "export": ("curation_harness.cli.trust:export", "Write a run's record into one file."),
    "import": ("curation_harness.cli.trust:import_record", "Open a record that was exported elsewhere."),
    "diagnose": ("curation_harness.cli.diagnose:diagnose_runs", "Say what the attempts of runs did."),
    "tasks": ("curation_harness.cli.plugins:tasks", "List the tasks."),
    "agents": ("curation_harness.cli.plugins:agents", "List the agents."),
    "scaffolds": ("curation_harness.cli.plugins:scaffolds", "List the scaffolds."),
    "engines": ("curation_harness.cli.plugins:engines", "List the engines."),
    "fetch": ("curation_harness.cli.fetch:fetch", "Fetch what a task is made of."),
    "references": (
        "curation_harness.cli.references:references",
        "Measure the selections a run is compared with.",
    ),
    "signals": ("curation_harness.cli.signals:signals", "Measure the signals that ship with a pool."),
    "noise": ("curation_harness.cli.references:noise", "Measure how far a score moves by itself."),
    "images": ("curation_harness.cli.images:images", "Build, list, save and load container images."),
    "doctor": ("curation_harness.cli.doctor:doctor", "Say what holds on this machine and what is missing."),
    "clean": ("curation_harness.cli.clean:clean", "Remove what killed runs left behind."),
    "completion": ("curation_harness.cli.completion:completion", "Print the shell completion script."),
}
"""Name → (where it is, one line for ``--help``)."""


class LazyGroup(click.Group):
    """Imports a command when it is called, so that ``harness --help`` imports nothing heavy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        named = [
            CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  harness launch    (agent `baseline` on task `llava-tiny`)",
)
@click.version_option(__version__, prog_name="harness")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def harness(ctx: click.Context, debug: bool) -> None:
    """Measure whether coding agents can curate training data."""
    ctx.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Entry point. The one place where errors become messages and exit codes."""
    given = sys.argv[1:] if arguments is None else arguments
    _stop_on_terminate()
    try:
        code = harness.main(args=given, prog_name="harness", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (CurationError, OSError) as error:
        told = error if isinstance(error, CurationError) else _of_the_machine(error)
        if told is None:
            raise
        if "--debug" in given:
            traceback.print_exc()
        _print_error(told)
        code = told.exit_code
    sys.exit(code if isinstance(code, int) else 0)


def _stop_on_terminate() -> None:
    """SIGTERM unwinds as Ctrl-C does, so that half-made things are removed; a run's own handler replaces this."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _of_the_machine(error: OSError) -> CurationError | None:
    """What the machine refused, as an error with a message; none if it looks like a bug of ours."""
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free some (`df -h` says which disk is full). A run that had begun goes on with `harness resume`."
        return DiskFull(f"the disk is full: {what}", hint=hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "Runs are kept in --run-dir or $CURATION_RUNS, the cache in $CURATION_CACHE: name writable places."
        return CurationError(f"not allowed: {what}", hint=hint)
    return None


def _print_error(error: CurationError) -> None:
    click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
    if error.hint:
        click.echo(error.hint, err=True)
