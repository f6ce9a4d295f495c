"""What models said, beside the items that were scored by it: seen to belong together, and scored again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from curation_harness.record.scheme import item_files
from curation_harness.record.sums import Half
from curation_plugins.api import Task
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult, read_predictions


def require_predictions(path: Path, items: Sequence[ItemResult]) -> bool:
    """Whether an evaluator wrote predictions; those that it did write are of the items and in their order.

    Raises:
        WorkerReplyInvalid: they are not.
    """
    if not path.exists():
        return False
    if path.is_symlink():
        raise WorkerReplyInvalid(f"{path.name}: a link is no file of predictions")
    for number, (said, item) in enumerate(zip_longest(read_predictions(path), items), start=1):
        if said is None or item is None or (said.benchmark, said.item) != (item.benchmark, item.item):
            found = f"item {said.item} of {said.benchmark}" if said else "nothing"
            wanted = f"item {item.item} of {item.benchmark}" if item else "no more"
            raise WorkerReplyInvalid(f"{path.name}, line {number}: {found}, where {wanted} was scored")
    return True


def checkable(folder: Path, half: Half, task: Task, assets: Path) -> bool:
    """Whether a half's items can be scored again from what is kept of the predictions."""
    path = folder / item_files(half)[1]
    return path.exists() and task.rescore(path, half, assets) is not None


def check(folder: Path, half: Half, task: Task, assets: Path) -> str | None:
    """The first item result in ``folder`` that is not what comes of its prediction; none: all are, or nothing can be
    scored again (``checkable``).

    Raises:
        AssetsInvalid: the task's files are damaged.
        OSError: the items cannot be read.
    """
    items, predictions = (folder / name for name in item_files(half))
    if not predictions.exists():
        return None
    try:
        scored = task.rescore(predictions, half, assets)
        if scored is None:
            return None
        with items.open("rb") as lines:
            for number, (line, again) in enumerate(zip_longest(lines, scored), start=1):
                told = _difference(line, again)
                if told is not None:
                    return f"{items.name}, line {number}: {told}"
    except WorkerReplyInvalid as error:
        return str(error)
    return None


def _difference(line: bytes | None, again: ItemResult | None) -> str | None:
    if line is None or again is None:
        return "one more is scored than was predicted" if again is None else "nothing, where more was predicted"
    try:
        item = ItemResult.model_validate_json(line)
    except ValueError as error:
        return f"no item result ({error})"
    if item == again:
        return None
    which = f"item {item.item} of {item.benchmark}"
    for name in ItemResult.model_fields:
        recorded, made = getattr(item, name), getattr(again, name)
        if recorded != made:
            return f"{which}: {name} is recorded as {recorded!r}, and {made!r} comes of the prediction"
    return f"{which}: another result comes of the prediction"
