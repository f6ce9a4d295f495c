"""What attempts cost one after another, and side by side on the slots of one engine.

    python tests/benchmarks/side_by_side.py [--task datacomp-tiny] [--attempts 4] [--slots 2] [--set KEY=VALUE]

Each attempt is a training on a random selection and the scoring of both halves, through the local engine, as the host
does it for a run, a reference or a headline; the same attempts both times, after some that are not counted. On a
machine with GPUs name their slots in CURATION_SLOTS. Scores must not depend on the company that a training has, which
is checked.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import measuring
import psutil

from curation_harness import places, seeds
from curation_harness.attempts.trial import TrialRunner
from curation_harness.measure.references import write_selection
from curation_plugins import assets as task_assets
from curation_plugins import config, registry, selection
from curation_plugins.api import Task
from curation_plugins.engines.slots import SLOTS_VARIABLE, discover


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="datacomp-tiny")
    parser.add_argument("--attempts", type=int, default=4)
    parser.add_argument("--slots", type=int, default=2, help="where CURATION_SLOTS names none")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    os.environ.setdefault(SLOTS_VARIABLE, ",".join(f"cpu-{number}" for number in range(given.slots)))
    plugins = registry.build()
    task = plugins.tasks.get(given.task)
    task = task.with_config(config.override(task.config, given.set))
    assets = task_assets.ensure(places.cache(), task, lambda what, done: None)
    slots = len(discover())
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        engine = plugins.engines.get("local")
        with engine.open(run_id="side-by-side", log=Path(folder) / "workers.log", config=task.config) as session:
            trials = TrialRunner(task, assets, session)
            attempts(trials, Path(folder) / "warm", slots, slots)  # starts a worker on every slot
            alone = attempts(trials, Path(folder) / "alone", given.attempts, 1)
            together = attempts(trials, Path(folder) / "together", given.attempts, slots)
            memory = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))
    tell(task, slots, alone, together, memory)


def attempts(trials: TrialRunner, folder: Path, count: int, at_once: int) -> tuple[float, list[float]]:
    """Seconds for all of them, and their public scores."""

    def attempt(number: int) -> float:
        place = folder / str(number)
        place.mkdir(parents=True)
        seed = seeds.of_reference("random", number)
        rows = trials.task.reference_rows("random", seed, trials.assets)
        assert rows is not None
        chosen = write_selection(selection.of_rows(rows, trials.task.config.submission.kind), place)
        return trials.run(chosen, seed, place, lambda what, done: None).public.mean

    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        scores = list(threads.map(attempt, range(count)))
    return time.monotonic() - began, scores


def tell(
    task: Task, slots: int, alone: tuple[float, Sequence[float]], together: tuple[float, Sequence[float]], memory: int
) -> None:
    count = len(alone[1])
    print(measuring.machine(), f"\n{task.name}, {count} attempts, {slots} slots\n")
    rows = [("how", "seconds", "attempts an hour")]
    rows += [
        (how, f"{seconds:.1f}", f"{3600 * count / seconds:.0f}")
        for how, seconds in (("one after another", alone[0]), ("side by side", together[0]))
    ]
    measuring.table(rows)
    print(f"\nworkers at the end: {memory / 2**20:.0f} MiB; scores equal: {list(alone[1]) == list(together[1])}")
    measuring.verdict("attempts in the same time", alone[0] / together[0], 1.0, at_most=False)


if __name__ == "__main__":
    main()
