"""`python -m curation_plugins.tasks.llava.tiny.prepare FOLDER JSON`: makes all assets of `llava-tiny`.

A process of its own, so that the harness never imports torch and the thread count is the recipe's. Progress goes to
standard output, one JSON object a line: `{"what": str, "done": float}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from curation_plugins.making import level_times, report
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import audit_files
from curation_plugins.tasks.llava.tiny.base import build_base
from curation_plugins.tasks.llava.tiny.benchmarks import make_benchmarks
from curation_plugins.tasks.llava.tiny.pool import make_pool
from curation_plugins.tasks.llava.tiny.settings import read_settings
from curation_plugins.tasks.llava.tiny.shipped import write_signals


def main(arguments: list[str]) -> None:
    """Arguments: the folder, and the settings (`assets` of the task's configuration) as a JSON object."""
    folder, settings = Path(arguments[0]), read_settings(json.loads(arguments[1]))
    report("drawing the pool", 0.0)
    make_pool(layout.pool(folder), layout.truth_file(folder), settings.rows, settings.seed)
    report("drawing the benchmarks", 0.04)
    make_benchmarks(layout.benchmarks(folder), settings.items, settings.seed)
    audit_files(folder, lambda what, done: report(what, 0.05 + 0.05 * done))

    def share(what: str, done: float) -> None:
        report(f"base model: {what}", 0.1 + 0.8 * done)

    build_base(settings.base, settings.seed, layout.base_model(folder), share)
    report("signals of the pool", 0.9)
    write_signals(folder, settings)
    level_times(layout.pool(folder))
    report("assets are complete", 1.0)


if __name__ == "__main__":
    main(sys.argv[1:])
