"""A submit server with a real run behind it (record, ledger, workers of the fast test task; no container), in a
process of its own, so that its memory can be weighed: ``submit_fire.py`` starts it.

    submit_fire_server.py FOLDER     one line of JSON when it serves; ends in order when its standard input is closed
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Final

# tests/, where the fixtures that make runs are, is on the path of this process
from conftest import parts_of, probe_record

from curation_harness.run.loop import RunLoop
from curation_plugins import registry
from curation_sandbox.blobs import BlobStore
from curation_sandbox.submit_server import Limits, SubmitServer

LIMITS: Final = dataclasses.replace(
    Limits(), requests_per_second=1e6, burst=10**6, wait_seconds=0.2, keep_alive_seconds=5, connections=128
)
"""The real ones, but faster, so that a hundred thousand requests do not take as long as they would."""
BUDGETS: Final = ("budgets.iterations=40", "budgets.refusals=300", "headline.seeds=1")


def main() -> None:
    folder = Path(sys.argv[1])
    built = registry.build()
    record = probe_record(folder / "runs", folder / "cache", built, BUDGETS)
    rules = record.spec.task.submission
    errors = folder / "errors.txt"
    errors.touch()

    def keep(report: str) -> None:
        with errors.open("a") as file:
            file.write(report + "\n")

    with RunLoop(parts_of(record, built, folder / "cache")) as loop:
        blobs = BlobStore(record.folder / "blobs", max_blob=rules.max_bytes, max_total=16 * rules.max_bytes)
        with SubmitServer(folder / "s", loop.handler, blobs, LIMITS, on_error=keep) as server:
            told = {"socket": str(server.socket_path), "record": str(record.folder), "max_blob": rules.max_bytes}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            sys.stdin.read()
        loop.work_through()


if __name__ == "__main__":
    main()
