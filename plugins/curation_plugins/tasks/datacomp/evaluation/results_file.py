"""``eval_results.jsonl``, the file DataComp's own evaluation leaves and its ``aggregate_scores.py`` reads.

One JSON object a line and set: ``key`` and ``dataset`` (its key and name in the task list) and ``metrics``, with
``main_metric`` beside the set's own ones; null for a set that has none (evaluate.py). The numbers are over all items,
public and sealed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from curation_plugins.tasks.datacomp.evaluation.sets import look_up

NAME: Final = "eval_results.jsonl"


def write(path: Path, reported: Mapping[str, Mapping[str, float | None]]) -> None:
    """A line for each set that was scored, and none for any other: what is missing is not a zero.

    Args:
        reported: metrics over all items, by the set's key.
    """
    with path.open("w", encoding="utf-8") as file:
        for key, metrics in reported.items():
            entry = look_up(key)
            main = metrics[entry.metric] if entry.metric is not None else None
            line = {"key": key, "dataset": entry.name, "metrics": {**metrics, "main_metric": main}}
            file.write(json.dumps(line) + "\n")
