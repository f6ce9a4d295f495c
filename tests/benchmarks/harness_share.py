"""The harness's share of an attempt: its wall time, less what workers spent on its jobs.

    python tests/benchmarks/harness_share.py [--task llava-tiny] [--repeat 3]
    python tests/benchmarks/harness_share.py --task probe --set recipe.delay_seconds=2

From the acceptance of a submission to its score on disk: freezing and hashing, queueing, passing jobs to workers,
reading and checking item results, standard errors, the record's writes. Warm attempts only: starting a worker is
measured by ``warm_attempt.py``. Time spent waiting for a slot that another run has is left out.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import attempts
import measuring

AIM = 0.02


def main() -> None:
    given = attempts.options().parse_args()
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        runs = [attempts.run(Path(folder), given, number) for number in range(given.repeat)]
    warm = [attempt for run in runs for attempt in run[1:]]
    walls = [attempt.wall - attempt.waited for attempt in warm]
    ours = [attempt.wall - attempt.waited - attempt.jobs - attempt.started for attempt in warm]
    shares = [own / wall for own, wall in zip(ours, walls, strict=True)]
    print(measuring.machine(), f"\n{given.task}, {len(warm)} warm attempts of {len(runs)} runs\n")
    measuring.table(
        [
            ("of an attempt", "seconds: median (range)", "share"),
            ("all", measuring.spread(walls), "1"),
            ("outside the workers' jobs", measuring.spread(ours), f"{statistics.median(shares):.4f}"),
        ]
    )
    measuring.verdict("harness's share", statistics.median(shares), AIM, at_most=True)


if __name__ == "__main__":
    main()
