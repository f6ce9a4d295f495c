"""The folder that is handed in with a selection: a policy that makes it again, by itself."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .plan import Step
from .selection import tables
from .selection.method import Method
from .selection.pool import FILES, Pool
from .selection.standalone import MANIFEST

SELECTION = Path(__file__).parent / "selection"
SIGNALS = "signals"
"""Folder in a policy that holds what the method uses and neither pool nor history has: lists, target texts. Data: a
host that runs policies again does not take a policy with it."""

_TEMPLATE = '''"""{summary}

{citation}

Run by itself: python policy.py --pool /pool --history /history --seed {seed} --out {out}
The very same selection again: python policy.py --pool /pool --out {out} --like manifest.json
"""

from pathlib import Path

from selection.{module} import METHOD
from selection.standalone import main

COUNT = {count}
SEED = {seed}
TURN = {turn}
PARAMETERS = {parameters}

if __name__ == "__main__":
    main(METHOD, COUNT, SEED, TURN, PARAMETERS, Path(__file__).parent / "{signals}")
'''


def write(
    folder: Path,
    step: Step,
    count: int,
    seed: int,
    signals: Mapping[str, tables.Column],
    files: Sequence[Path] = (),
) -> None:
    """Make the policy of a step in ``folder``, over whatever an interrupted run left there.

    Args:
        seed: the task's; what the step's differs from it by stands in the policy.
        signals: further columns that the method uses.
        files: what else it uses that is not in the pool, e.g. target texts.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    module = step.method.select.__module__.rpartition(".")[2]
    (folder / "selection").mkdir()
    for name in sorted(_needed(module) | _needed("standalone") | {"__init__"}):
        shutil.copyfile(SELECTION / f"{name}.py", folder / "selection" / f"{name}.py")
    out = "selection.npy" if "pairs" in step.method.needs else "selection.txt"
    text = _TEMPLATE.format(
        summary=f"{step.method.name}: {step.method.summary}.",
        citation=step.method.citation,
        module=module,
        count=count,
        seed=seed,
        turn=step.seed - seed,
        parameters=json.dumps(dict(step.parameters)),
        signals=SIGNALS,
        out=out,
    )
    (folder / "policy.py").write_text(text)
    if signals or files:
        (folder / SIGNALS).mkdir()
    if signals:
        tables.write_archive(folder / SIGNALS / "signals.npz", signals)
    for path in files:
        shutil.copyfile(path, folder / SIGNALS / path.name)


def beside(method: Method, pool: Pool, own: frozenset[str]) -> tuple[dict[str, tables.Column], list[Path]]:
    """Columns and files that a method looks at and neither the pool's own folder nor the history has.

    Args:
        own: names of the columns that the pool's own folder has.
    """
    columns: dict[str, tables.Column] = {}
    for what in method.looks_at:
        name, column = pool.column_name(what), pool.column(what)
        if name is not None and name not in own | pool.bought:
            columns[name] = column
    found = [pool.file(what) for what in method.looks_at if what in FILES]
    return columns, [path for path in found if path is not None and path.parent != pool.folder]


def _needed(module: str) -> set[str]:
    """A module of the selection folder and all that it imports from there."""
    needed = {module}
    for node in ast.walk(ast.parse((SELECTION / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            needed |= set().union(*map(_needed, names))
    return needed


def run(folder: Path, pool: Path, out: Path, history: Path | None = None) -> int:
    """Run a policy as anybody else would, and return how many rows it chose; the manifest goes into its folder.

    Args:
        out: file for what is handed in.
        history: what the host gave in this run, as ``curate history --save`` writes it.

    Raises:
        PolicyFailed: it ended with an error, or chose nothing.
    """
    command = [sys.executable, "-B", "policy.py", "--pool", str(pool), "--out", str(out)]
    command += ["--write-manifest", MANIFEST, *([] if history is None else ["--history", str(history)])]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise PolicyFailed(ended.stderr.strip().rpartition("\n")[2])
    chosen = int(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["selected"])
    if not chosen:
        raise PolicyFailed("it chose no rows")
    return chosen


class PolicyFailed(Exception):
    """A method could not be carried out on this pool."""
