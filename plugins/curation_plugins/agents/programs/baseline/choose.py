"""One method on a pool of one's own: makes a folder with the selection, its policy and its manifest.

    python -m curation_plugins.agents.programs.baseline.choose semdedup --pool POOL --count 10000 --out FOLDER

In it: ``rows.txt`` (``records.jsonl`` of a method that rewrites, ``uids.npy`` of pairs), ``policy.py`` with
all it needs, and ``manifest.json``. ``python FOLDER/policy.py --pool POOL --out again --like FOLDER/manifest.json``
makes the same again, and fails if anything differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from . import policy
from .plan import EVERY, Step
from .selection.method import Method
from .selection.pair_files import METADATA, PoolUnreadable
from .selection.pool import Pool
from .selection.rows_file import ROWS
from .selection.standalone import MANIFEST


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 where the pool lacks what the method needs."""
    parser = argparse.ArgumentParser(prog="choose", description="make a selection by a published method")
    parser.add_argument("method", choices=[method.name for method in EVERY])
    parser.add_argument(
        "--pool", type=Path, required=True, help="folder with rows.jsonl and signals, or with DataComp's metadata"
    )
    parser.add_argument("--count", type=int, required=True, help="rows to select, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER", help="a parameter of the method")
    parser.add_argument("--extra", type=Path, help="folder with further tables and files: lists, labels, target.txt")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    options = parser.parse_args(arguments)
    method = next(method for method in EVERY if method.name == options.method)
    if options.count < 1:
        parser.error("--count: at least 1")
    if options.out.exists():
        parser.error(f"--out: {options.out} exists already")
    try:
        parameters = {**method.settings[0], **dict(_number(text, method) for text in options.set)}
    except ValueError as error:
        parser.error(f"--set: {error}")
    try:
        print(make(method, parameters, options.pool, options.count, options.seed, options.extra, options.out))
    except (policy.PolicyFailed, LookupError) as failure:
        print(f"{method.name}: {failure}", file=sys.stderr)
        return 1
    return 0


def make(
    method: Method, parameters: dict[str, float], pool: Path, count: int, seed: int, extra: Path | None, out: Path
) -> str:
    """Makes the folder ``out``; returns what to tell. Where it fails, there is no folder.

    Raises:
        LookupError: there is no pool, or it lacks what the method needs.
        PolicyFailed: the method could not be carried out.
    """
    try:
        every = Pool(pool, *([] if extra is None else [extra]))
    except PoolUnreadable as error:
        raise LookupError(str(error)) from None
    if every.size == 0:
        empty = (pool / ROWS).exists() or every.is_pairs
        raise LookupError(f"{pool} holds no rows" if empty else f"there is no {ROWS} and no {METADATA} in {pool}")
    if every.is_pairs and method.rewrite is not None:
        raise LookupError("it hands in records, and the pool is one of image-text pairs")
    missing = [need for need in method.needs if not every.has(need)]
    if missing:
        raise LookupError(f"the pool has no {' and no '.join(missing)} (see docs/baselines.md)")
    step, out = Step(1, method, parameters, seed), out.resolve()
    policy.write(out, step, count, seed, *policy.beside(method, every, Pool(pool).names))
    name = "uids.npy" if every.is_pairs else "records.jsonl" if method.rewrite else "rows.txt"
    try:
        chosen = policy.run(out, pool.resolve(), out / name)
    except policy.PolicyFailed:
        shutil.rmtree(out, ignore_errors=True)
        raise
    made = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    looked = "looks at target data" if method.target else "does not look at target data"
    return f"{out}: {chosen} of {every.size} rows by {method.name} ({looked}), sha256 {made['sha256'][:16]}"


def _number(text: str, method: Method) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in method.settings[0]:
        known = ", ".join(method.settings[0]) or "none"
        raise ValueError(f"{method.name} has no parameter {name!r}; it has: {known}")
    return name, float(value)


if __name__ == "__main__":
    sys.exit(main())
