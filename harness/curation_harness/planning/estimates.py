"""What a run of a large task takes and how long, for ``--dry-run``. Estimates: orders of magnitude to plan with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_harness import fetch, provenance
from curation_harness.planning import machine
from curation_harness.planning.machine import Check
from curation_harness.planning.plan import Plan
from curation_plugins import assets as task_assets
from curation_plugins.api import Needs
from curation_plugins.hub.store import ROOM
from curation_sandbox.spec import format_size

PEAKS: Final = {"B200": 2.25e15, "H200": 9.89e14, "H100": 9.89e14, "A100": 3.12e14, "L40S": 3.62e14}
"""Dense bf16 operations a second by a word of the card's name, as its maker's data sheet has them."""
REFERENCE: Final = "A100"
"""The card that times are told for where there is none of those."""
TRAINING: Final = (0.2, 0.45)
"""Share of the peak that training reaches: one public replication's 1.2 A100-hours for 10,000 rows are 0.23; packed
batches on newer cards come to 0.45."""
EVALUATION: Final = (0.1, 0.3)
"""Likewise: 0.3 to 0.7 A100-hours, judging included, of the same replication are 0.13 to 0.31."""


@dataclass(frozen=True)
class Card:
    """An accelerator of this machine."""

    name: str
    memory: int
    """Bytes."""


def cards() -> tuple[Card, ...]:
    """The accelerators here, as the driver lists them."""
    return tuple(found for line in provenance.hardware().gpus if (found := _card(line)) is not None)


def _card(line: str) -> Card | None:
    """From ``NVIDIA H200, 143771 MiB, 570.86``; none for what is not of that form."""
    name, _, rest = line.partition(",")
    number, _, unit = rest.strip().partition(" ")
    return Card(name.strip(), int(number) * 2**20) if number.isdigit() and unit.startswith("MiB") else None


def of(plan: Plan) -> dict[str, Any] | None:
    """The estimates as the plan shows them; none for a task that takes next to nothing."""
    needs = plan.task.needs()
    if needs is None:
        return None
    config, (name, peak) = plan.task.config, _pace()
    train, score = (
        _seconds(needs.train_flop / needs.cards, peak, TRAINING),
        _seconds(needs.evaluate_flop, peak, EVALUATION),
    )
    trials = config.budgets.iterations + config.headline.seeds
    room = fetch.room(plan.task, plan.options.cache)
    return {
        "disk_bytes": needs.disk,
        "sizes_unknown": room.unknown,
        "disk_left_bytes": room.total,
        "run_disk_bytes": machine.run_bytes(plan),
        "host_memory_bytes": needs.host_memory,
        "cards": needs.cards,
        "device_memory_bytes": needs.device_memory,
        "device_memory_spent_on": needs.device_memory_name,
        "card": name,
        "train_seconds": train,
        "evaluate_seconds": score,
        "run_seconds": [trials * (train[0] + score[0]), trials * (train[1] + score[1])],
        "how": {
            **needs.how,
            "time": f"operations over the card's peak ({peak:.3g} a second in bf16), of which training reaches"
            f" {TRAINING[0]:.0%} to {TRAINING[1]:.0%} and scoring {EVALUATION[0]:.0%} to {EVALUATION[1]:.0%}",
        },
    }


def lines(estimates: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """For a reader."""
    size = {key: format_size(value) for key, value in estimates.items() if key.endswith("_bytes")}
    unknown = estimates["sizes_unknown"]
    without = f", without {unknown} thing(s) whose size only their servers know" if unknown else ""
    yield (
        "estimate, disk",
        f"{size['disk_bytes']} for the task's files ({size['disk_left_bytes']} still to come{without}),"
        f" {size['run_disk_bytes']} for the run",
    )
    yield (
        "estimate, memory",
        f"{size['host_memory_bytes']} for the worker, {size['device_memory_bytes']} on each card"
        f" ({estimates['device_memory_spent_on']})",
    )
    told = {key: _span(estimates[f"{key}_seconds"]) for key in ("train", "evaluate", "run")}
    yield (
        "estimate, time",
        f"on {estimates['cards']} × {estimates['card']}: {told['train']} to train, {told['evaluate']} to score,"
        f" {told['run']} for all attempts and the headline",
    )
    for what, formula in estimates["how"].items():
        yield f"  {what}", formula


def checks(plan: Plan) -> Iterator[Check]:
    """What only large tasks ask of a machine."""
    needs = plan.task.needs()
    if needs is None:
        return
    pieces = fetch.pieces(plan.task, plan.options.cache)
    missing, lacking = [piece for piece in pieces if piece.here is None], plan.task.lacking()
    made = task_assets.folder(plan.options.cache, plan.task).is_dir()
    told = []
    if missing and not made:
        told.append(f"{len(missing)} of {len(pieces)} are missing; `{_fetch_command(plan)}` brings them")
    told += [f"missing, and no fetch brings it: {line}" for line in lacking]
    yield Check("task's files", not told, "; ".join(told) or "are here")
    yield _disk(plan)
    limit = plan.task.config.workers.memory
    yield Check(
        "worker's memory",
        needs.host_memory <= limit,
        f"needs about {format_size(needs.host_memory)}, and workers.memory is {format_size(limit)}",
    )
    yield _accelerators(plan, needs)


def _fetch_command(plan: Plan) -> str:
    """With the settings that were given: another pool or model is other files."""
    given = [word for text in plan.options.overrides for word in ("--set", text)]
    return shlex.join(["harness", "fetch", plan.task.name, *given])


def _disk(plan: Plan) -> Check:
    """The task's files, and the run too where it lies on the same disk."""
    left, free = fetch.room(plan.task, plan.options.cache), machine.free_bytes(plan.options.cache)
    run = machine.run_bytes(plan) if _same_disk(plan.options.cache, plan.options.runs) else 0
    what = "disk (files and run)" if run else "disk (files)"
    parts = f" ({format_size(left.total)} for the task's files, {format_size(run)} for the run)" if run else ""
    holds = left.total + run + (ROOM if left.total else 0) <= free
    kept = f", of which {format_size(ROOM)} is kept free" if left.total else ""
    return Check(what, holds, f"may use {format_size(left.total + run)}{parts} of {format_size(free)} free{kept}")


def _accelerators(plan: Plan, needs: Needs) -> Check:
    """Whether they are here, and seen by a worker: what a launch without them is refused for. Their memory is an
    estimate, and said here only."""
    there, lacking = cards(), machine.lacking_cards(plan.engine.name, needs)
    told = (
        f"{needs.cards} with about {format_size(needs.device_memory)} each; here: "
        + (", ".join(f"{card.name} ({format_size(card.memory)})" for card in there) or "none")
        + (f"; it {lacking}" if lacking else "")
    )
    if not there and lacking is None:
        return Check("accelerators", True, f"{told}; processors will do")
    enough = [card for card in there if card.memory >= needs.device_memory]
    holds = lacking is None and len(enough) >= needs.cards
    return Check("accelerators", holds, told if holds else f"{told}. {_what_to_do(needs)}")


def _what_to_do(needs: Needs) -> str:
    size = "one card" if needs.cards == 1 else f"{needs.cards} cards"
    told = f"Use a machine with {size} of {format_size(needs.device_memory)} or more"
    if not needs.instead:
        return f"{told}."
    others = "; ".join(
        f"--set {one.setting} ({one.cards} × {format_size(one.device_memory)}: {one.what})" for one in needs.instead
    )
    return f"{told}, or another recipe, whose scores compare with its own only: {others}."


def _same_disk(one: Path, other: Path) -> bool:
    return machine.existing(one).stat().st_dev == machine.existing(other).stat().st_dev


def _pace() -> tuple[str, float]:
    """The card that times are told for, and its peak."""
    for card in cards():
        for word, peak in PEAKS.items():
            if word in card.name:
                return card.name, peak
    return REFERENCE, PEAKS[REFERENCE]


def _seconds(flop: float, peak: float, shares: tuple[float, float]) -> list[float]:
    """From the least to the most."""
    return [flop / peak / shares[1], flop / peak / shares[0]]


def _span(seconds: list[float]) -> str:
    unit, name = (60, "min") if seconds[1] < 7200 else (3600, "h")
    return f"{seconds[0] / unit:.0f} to {seconds[1] / unit:.0f} {name}"
