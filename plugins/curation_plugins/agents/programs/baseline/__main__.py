"""Command line of the baseline's program."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .curate import Curate, CurateFailed
from .journal import Journal
from .plan import EVERY
from .selection.pair_files import PoolUnreadable
from .session import Session, say


def main() -> int:
    """Run to the end; 0 unless the host does not answer or the pool cannot be read."""
    parser = argparse.ArgumentParser(prog="baseline", description="one selection method per iteration")
    parser.add_argument(
        "--only",
        choices=[method.name for method in EVERY],
        help="repeat this method with new seeds",
    )
    parser.add_argument("--extra", type=Path, help="folder with further tables: lists, target texts, signals")
    parser.add_argument("--pool", type=Path, default=Path("/pool"))
    parser.add_argument("--workspace", type=Path, default=Path.cwd())
    parser.add_argument("--curate", default="curate", help="command that speaks to the host")
    options = parser.parse_args()
    curate = Curate(shlex.split(options.curate))
    journal = Journal(options.workspace / "journal.jsonl")
    try:
        Session(curate, options.pool, options.workspace, journal, options.extra).run(options.only)
    except CurateFailed as failure:
        if not failure.over:
            print(failure, file=sys.stderr)
            return 1
    except PoolUnreadable as failure:
        print(failure, file=sys.stderr)
        return 1
    say(journal.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
