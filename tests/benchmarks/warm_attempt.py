"""A run's first attempt, which starts and warms its workers, against its later ones.

    python tests/benchmarks/warm_attempt.py [--task llava-tiny] [--repeat 3]

The workers of each run are new processes; the task's files are there, and in the page cache.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import attempts
import measuring

AIM = 3.0


def main() -> None:
    given = attempts.options().parse_args()
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        runs = [attempts.run(Path(folder), given, number) for number in range(given.repeat)]
    cold = [run[0].wall - run[0].waited for run in runs]
    warm = [attempt.wall - attempt.waited for run in runs for attempt in run[1:]]
    ratio = statistics.median(cold) / statistics.median(warm)
    print(measuring.machine(), f"\n{given.task}, {len(runs)} runs\n")
    measuring.table(
        [
            ("attempt", "seconds: median (range)", "ratio"),
            ("first (cold)", measuring.spread(cold), f"{ratio:.2f}"),
            ("of it, starting workers", measuring.spread([run[0].started for run in runs]), ""),
            ("later (warm)", measuring.spread(warm), "1"),
        ]
    )
    measuring.verdict("cold / warm", ratio, AIM, at_most=False)


if __name__ == "__main__":
    main()
