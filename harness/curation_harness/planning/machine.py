"""Whether this machine can hold a run: its memory, disk and processors against the task's limits."""

from __future__ import annotations

import errno
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from curation_harness.agent.box import socket_like
from curation_harness.attempts.checkpoints import at_once
from curation_harness.errors import OptionInvalid, RunFolderUnusable
from curation_harness.planning.plan import Plan
from curation_harness.reproduction.runner import again_memory
from curation_plugins import assets as task_assets
from curation_plugins.api import Needs, Task
from curation_plugins.engines.slots import SLOTS_VARIABLE, discover
from curation_sandbox.errors import DiskFull, SocketPathTooLong
from curation_sandbox.spec import format_size, parse_size
from curation_sandbox.unix_server import require_short

PROCESSORS_DO: Final = 1e15
"""Operations of an attempt, trained and scored, that are left to processors where there is no accelerator: at 1e12 a
second about a quarter of an hour."""


@dataclass(frozen=True)
class Check:
    """One thing that a run needs of the machine."""

    what: str
    holds: bool
    detail: str


def checks(plan: Plan) -> tuple[Check, ...]:
    """What ``--dry-run`` tells."""
    limits, workers = plan.task.config.limits, plan.task.config.workers
    again = again_memory(limits, plan.task.config.submission.max_bytes) if plan.reproduces else 0
    memory = limits.memory + max(again, parse_size(workers.memory))
    total = psutil.virtual_memory().total
    wanted, free = run_bytes(plan), free_bytes(plan.options.runs)
    return (
        Check(
            "memory",
            memory <= total,
            f"agent and one worker (or its policy, run again) may use {format_size(memory)} of {format_size(total)}"
            if plan.reproduces
            else f"agent and one worker may use {format_size(memory)} of {format_size(total)}",
        ),
        Check(
            "disk", wanted <= free, f"volumes and models may use {format_size(wanted)} of {format_size(free)} free"
        ),
        Check("processors", limits.cpus <= _cpus(), f"the agent may use {limits.cpus:g} of {_cpus()}"),
        _sockets(),
    )


def _sockets() -> Check:
    place = socket_like()
    try:
        require_short(place)
    except SocketPathTooLong as error:
        return Check("sockets", False, f"{error.message}. {error.hint}")
    return Check("sockets", True, f"in a folder like {place.parent}")


def require(plan: Plan) -> None:
    """Refuse a run that could not even start here. Memory is not among the reasons: few runs use all they may.

    Raises:
        DiskFull, OptionInvalid, RunFolderUnusable, SocketPathTooLong: nothing was made but the folders of runs and
            of the cache.
    """
    _try_writing(plan.options.runs, "a run", "Name a writable folder with --run-dir.")
    require_short(socket_like())
    require_cache(plan.options.cache)
    require_cards(plan.task, plan.engine.name)
    limits = plan.task.config.limits
    if limits.cpus > _cpus():
        raise OptionInvalid(
            f"limits.cpus is {limits.cpus:g}, and this machine has {_cpus()} processors",
            hint=f"For this run: --set limits.cpus={_cpus()}",
        )
    wanted, free = run_bytes(plan), free_bytes(plan.options.runs)
    if wanted > free:
        raise DiskFull(
            f"{plan.options.runs} has {format_size(free)} free; workspace, home and trained models of a run may use"
            f" {format_size(wanted)}",
            hint="Free some disk space, name another disk with --run-dir, lower limits.workspace_size and"
            " limits.home_size, or keep fewer models with checkpoints.keep (--set).",
        )


def require_cache(folder: Path) -> None:
    """
    Raises:
        DiskFull, RunFolderUnusable: nothing can be written there.
    """
    _try_writing(folder, "the cache", "Name a writable folder in the variable CURATION_CACHE.")


def require_cards(task: Task, engine: str) -> None:
    """Refuse work on a task whose training takes accelerators that this machine's engine has not.

    Raises:
        OptionInvalid
    """
    needs = task.needs()
    if needs is None or (lacking := lacking_cards(engine, needs)) is None:
        return
    raise OptionInvalid(
        f"task {task.name} {lacking}",
        hint=f"CUDA_VISIBLE_DEVICES and {SLOTS_VARIABLE} say which may be used (docs/plugins.md, Slots);"
        " `harness launch --dry-run` shows what the task takes.",
    )


def lacking_cards(engine: str, needs: Needs) -> str | None:
    """What a worker of this machine's engine lacks of the accelerators that the task needs; none if nothing."""
    if engine != "local" or needs.train_flop + needs.evaluate_flop < PROCESSORS_DO:
        return None
    seen = max(slot.cards for slot in discover())
    if seen >= needs.cards:
        return None
    return f"needs {needs.cards} accelerator(s), and a worker here sees {seen or 'none'}"


def _try_writing(folder: Path, what: str, hint: str) -> None:
    """What permissions cannot tell (read-only file systems, kernel folders, a full disk) is found out by trying."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(65536))
    except OSError as error:
        message = f"{folder} cannot hold {what}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(message, hint=f"Free some disk space. {hint}") from error
        raise RunFolderUnusable(message, hint=hint) from error


def _cpus() -> int:
    return psutil.cpu_count() or 1


def run_bytes(plan: Plan) -> int:
    """Disk that a run may use, bytes: its volumes, and the models it has there at once. Selections are ids: no run
    and no attempt has a copy of the pool."""
    config = plan.task.config
    model = plan.task.checkpoint_bytes(task_assets.folder(plan.options.cache, plan.task)) or 0
    models = model * at_once(config.checkpoints, config.budgets.iterations)
    return config.limits.workspace_size + config.limits.home_size + models


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def free_bytes(folder: Path) -> int:
    """Room on the disk where the folder is or will be."""
    return shutil.disk_usage(existing(folder)).free
