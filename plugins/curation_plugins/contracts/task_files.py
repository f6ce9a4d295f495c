"""The contract of a task's files: the pool, planted truth, references, and which submissions are refused."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from curation_plugins import selection
from curation_plugins.api import Task
from curation_plugins.contracts.require import require
from curation_plugins.errors import SubmissionRefused

_TRUTH_KEYS: Final = {
    *("truth", "planted", "clean", "is_clean", "noisy", "is_noisy", "good", "is_good", "bad", "is_bad"),
    *("wrong", "corrupt", "corrupted", "defect", "defects", "noise", "quality", "ground_truth", "flipped"),
}
"""Keys of a pool row that would tell an agent which rows are good."""

_FEW_VALUES = 50
"""A field with at most this many values is taken for a category."""


def check_task_files(task: Task, assets: Path) -> None:
    """Check prepared files; reads only."""
    rows = task.pool_rows(assets)
    require(rows > 0, f"task {task.name}: the pool has no rows")
    _check_pool_folder(task, assets / "pool")
    sources, truth = task.sources(assets), task.truth(assets)
    for what, values in (("sources", sources), ("truth", truth)):
        require(
            values is None or len(values) == rows,
            f"task {task.name}: {what} has {0 if values is None else len(values)} entries for {rows} pool rows",
        )
    if truth is not None:
        require(any(truth) and not all(truth), f"task {task.name}: planted truth calls every row the same")
        _check_truth_is_hidden(task, assets / "pool", [bool(good) for good in truth])
    _check_references(task, assets, rows)
    _check_refusals(task, assets, rows)
    _check_row_cards(task, assets, rows)


def _check_pool_folder(task: Task, pool: Path) -> None:
    require(pool.is_dir(), f"task {task.name}: prepare made no folder pool/, which is all the agent sees")
    entries = list(pool.rglob("*"))
    require(any(entry.is_file() for entry in entries), f"task {task.name}: pool/ holds no file")
    for entry in entries:
        require(
            not entry.is_symlink(),
            f"task {task.name}: {entry} is a link; in the container it leads somewhere else",
        )
        mode = entry.stat().st_mode
        wanted = 0o005 if entry.is_dir() else 0o004
        require(mode & wanted == wanted, f"task {task.name}: {entry} cannot be read by the container's user")


def _check_truth_is_hidden(task: Task, pool: Path, truth: list[bool]) -> None:
    """No field of a pool row, and not its place, may tell good rows from bad ones."""
    half = len(truth) // 2
    difference = abs(sum(truth[:half]) / half - sum(truth[half:]) / (len(truth) - half))
    share = sum(truth) / len(truth)
    chance = math.sqrt(share * (1 - share) * (1 / half + 1 / (len(truth) - half)))
    require(
        difference < 6 * chance,
        f"task {task.name}: good rows stand in one half of the pool; shuffle before ids are given",
    )
    for file in sorted(pool.rglob("*.jsonl")):
        entries = list(_json_lines(file))
        named = {key for entry in entries for key in entry} & _TRUTH_KEYS
        require(not named, f"task {task.name}: rows of {file.name} have the key {sorted(named)[:1]}: planted truth?")
        if len(entries) == len(truth):
            _check_fields(task, file, entries, truth)


def _check_fields(task: Task, file: Path, entries: Sequence[dict[str, Any]], truth: list[bool]) -> None:
    """A category must not explain most of the truth: guessing by its majorities may do away with at most four
    fifths of the mistakes that guessing the same for every row makes."""
    mistakes = min(sum(truth), len(truth) - sum(truth))
    for key in entries[0]:
        values = [json.dumps(entry.get(key), sort_keys=True) for entry in entries]
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for value, good in zip(values, truth, strict=True):
            counts[value][good] += 1
        if not 1 < len(counts) <= _FEW_VALUES:
            continue
        left = sum(min(pair) for pair in counts.values())
        require(
            left > 0.2 * mistakes,
            f"task {task.name}: the field {key!r} of {file.name} tells good rows from bad ones:"
            f" guessing by it is wrong for {left} of {len(truth)} rows",
        )


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


def _check_references(task: Task, assets: Path, rows: int) -> None:
    for name in task.config.references:
        try:
            chosen = task.reference_rows(name, 0, assets)
        except KeyError:
            raise AssertionError(
                f"task {task.name}: config names the reference {name!r}, and reference_rows does not know it"
            ) from None
        if chosen is None:
            continue
        ordered = [int(row) for row in chosen]
        require(ordered, f"task {task.name}: reference {name} selects no row")
        require(
            ordered == sorted(set(ordered)) and ordered[0] >= 0 and ordered[-1] < rows,
            f"task {task.name}: reference {name} is not an ascending list of distinct pool rows",
        )
        most = task.config.submission.rows_max
        require(
            name == "full" or len(ordered) <= most,
            f"task {task.name}: reference {name} selects {len(ordered)} rows; an agent may select {most}",
        )
        again = task.reference_rows(name, 0, assets)
        require(
            again is not None and [int(row) for row in again] == ordered,
            f"task {task.name}: reference {name} differs between two calls with one seed",
        )
    try:
        task.reference_rows("no-such-reference", 0, assets)
    except KeyError:
        return
    raise AssertionError(f"task {task.name}: reference_rows must raise KeyError for a name that it does not know")


def _check_refusals(task: Task, assets: Path, rows: int) -> None:
    rules = task.config.submission
    bad = {
        "an empty file": "",
        "a row that is not in the pool": f"{rows}\n",
        "a negative row": "-1\n",
        "words": "the best rows\n",
        "a fraction": "0.5\n",
    }
    if rules.kind == "rows":
        bad["a row twice"] = "0\n0\n"
    excluded = task.excluded(assets)
    allowed = (row for row in range(rows) if row not in excluded)
    few = list(itertools.islice(allowed, min(max(3, rules.samples_min), rules.rows_max)))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "submission"
        for what, content in bad.items():
            file.write_text(content)
            _require_refused(task, assets, file, what)
        if rows > rules.rows_max:
            many = selection.of_rows(range(rules.rows_max + 1), rules.kind)
            task.write_submission(many, file, assets)
            _require_refused(task, assets, file, "too many rows")
        if 1 < rules.samples_min <= len(few):
            task.write_submission(selection.of_rows(few[: rules.samples_min - 1], rules.kind), file, assets)
            _require_refused(task, assets, file, "too few rows")
        chosen = selection.of_rows(few, rules.kind)
        task.write_submission(chosen, file, assets)
        try:
            read = task.parse_submission(file, assets)
        except SubmissionRefused as refused:
            raise AssertionError(
                f"task {task.name}: what write_submission writes is refused: {refused.problems[0].message}"
            ) from None
        require(read == chosen, f"task {task.name}: what write_submission writes is read as other rows")


def _require_refused(task: Task, assets: Path, file: Path, what: str) -> None:
    try:
        task.parse_submission(file, assets)
    except SubmissionRefused as refused:
        require(refused.problems, f"task {task.name}: {what} was refused without a reason")
    else:
        raise AssertionError(f"task {task.name}: {what} was accepted as a submission")


def _check_row_cards(task: Task, assets: Path, rows: int) -> None:
    for row in {0, rows // 2, rows - 1}:
        card = task.row_card(row, assets)
        if card is None:
            continue
        require(card.row == row, f"task {task.name}: row_card({row}) shows row {card.row}")
        require(card.turns or card.image, f"task {task.name}: row_card({row}) shows nothing")
        require(
            card.image is None or card.image.startswith((b"\x89PNG", b"\xff\xd8")),
            f"task {task.name}: the image of row_card({row}) is neither PNG nor JPEG",
        )
