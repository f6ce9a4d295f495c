"""The audit beside a plain n-gram audit, on one made pool with planted leaks, in one run.

    python tests/benchmarks/audit_speed.py [--rows 50000] [--items 600] [--pictures 1500] [--repeat 3]

The plain one does what the audit of the seed system does (arXiv 2606.04261, src/benchmark/tools/contamination.py at
5f9cf529): a question and its answer as the file has it, normalised, as one text; equal texts by SHA-256, and texts of
at least 12 words by the share of their 8-grams in a pair of the pool, at least 0.8, over an index of all of the
pool's 8-grams. Each audit runs in a process of its own; memory is what its peak adds to the process before it.

Pictures are compared apart: the plain audit has none.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import measuring

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import benchmark_items
from curation_plugins.tasks.llava.audit.pool import audit_pool
from curation_plugins.tasks.llava.items import write_items
from curation_plugins.tasks.llava.rows import read_rows
from made_leaks import World, leak_each

TEXT_LEAKS = ("option-text", "letter", "question", "edited", "answer")
GRAM, SHARE, SHORTEST = 8, 0.8, 12


@dataclass(frozen=True)
class Ran:
    """One audit of one pool."""

    seconds: float
    memory: int
    """Bytes."""
    found: frozenset[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--pictures", type=int, default=1_500)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    print(measuring.machine())
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        texts(Path(folder) / "texts", given.rows, given.items, given.repeat)
        pictures(Path(folder) / "pictures", given.pictures)


def texts(folder: Path, rows: int, items: int, repeat: int) -> None:
    planted = made(folder, items, rows, pictures=False)
    size = (folder / "pool/rows.jsonl").stat().st_size
    print(f"\n{rows} rows ({size / 1e6:.1f} MB), {items} items, {len(planted)} rows that leak one\n")
    audits = {"plain 8-grams": plain_audit, "this audit": our_audit}
    times: dict[str, list[Ran]] = {name: [] for name in audits}
    for _ in range(repeat):  # in turns, so that another load on the machine hits both
        for name, audit in audits.items():
            times[name].append(alone(audit, folder))
    ran = {name: sorted(some, key=lambda one: one.seconds)[len(some) // 2] for name, some in times.items()}
    kinds = [kind for kind in TEXT_LEAKS if kind in planted.values()]
    lines = [("audit", "seconds", "rows/s", "memory", "precision", "recall", *kinds)]
    for name, one in ran.items():
        lines.append(
            (
                name,
                f"{one.seconds:.2f}",
                f"{rows / one.seconds:.0f}",
                f"{one.memory / 2**20:.0f} MiB",
                *rates(one.found, planted),
                *(f"{recall(one.found, planted, kind):.2f}" for kind in kinds),
            )
        )
    measuring.table(lines)
    plain, ours = ran.values()
    print(f"\nmedian time of this audit over the plain one's: {ours.seconds / plain.seconds:.2f}")
    print(f"memory of this audit over the plain one's: {ours.memory / plain.memory:.2f}")


def pictures(folder: Path, count: int) -> None:
    items = count // 5
    planted = made(folder, items, count, pictures=True)
    one = alone(our_audit, folder)
    print(f"\n{count} pictures of rows (640x480 JPEG), {items} of items, {len(planted)} copied smaller and coarser\n")
    measuring.table(
        [
            ("seconds", "pictures/s", "precision", "recall"),
            (f"{one.seconds:.2f}", f"{count / one.seconds:.0f}", *rates(one.found, planted)),
        ]
    )


def made(folder: Path, items: int, rows: int, *, pictures: bool) -> dict[int, str]:
    """Writes pool and benchmarks; row to the kind of its leak. Half of the items leak, once each."""
    world = World(folder, size=(640, 480) if pictures else (120, 90))
    world.add_items(items)
    leaks = world.items[: items // 2]
    world.add_honest(rows - len(leaks), pictures=pictures)
    if pictures:
        planted = {world.leak(item, "image"): "image" for item in leaks}
    else:
        planted = leak_each(world, leaks, pictures=False)
    layout.pool(folder).mkdir(exist_ok=True)
    with layout.rows_file(folder).open("w", encoding="utf-8") as lines:
        lines.writelines(row.model_dump_json(by_alias=True, exclude_none=True) + "\n" for row in world.rows)
    write_items(world.benchmarks, "public", world.items[::2])
    write_items(world.benchmarks, "sealed", world.items[1::2])
    return planted


def alone(audit: Callable[[Path], frozenset[int]], folder: Path) -> Ran:
    """Runs an audit in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, audit, folder).result()


def measure(audit: Callable[[Path], frozenset[int]], folder: Path) -> Ran:
    before, began = peak(), time.perf_counter()
    found = audit(folder)
    return Ran(time.perf_counter() - began, peak() - before, found)


def peak() -> int:
    """Of this process, in bytes; what ``getrusage`` tells begins with the parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def our_audit(folder: Path) -> frozenset[int]:
    rows, items = read_rows(layout.rows_file(folder)), benchmark_items(folder)
    return audit_pool(rows, items, pool=layout.pool(folder), benchmarks=layout.benchmarks(folder)).excluded()


def plain_audit(folder: Path) -> frozenset[int]:
    """Rows with a pair that equals or nearly equals an item's."""
    owners: dict[str, list[int]] = {}
    for place, row in enumerate(read_rows(layout.rows_file(folder))):
        for human, gpt in zip(row.conversations[::2], row.conversations[1::2], strict=False):
            owners.setdefault(pair(human.value.replace("<image>", ""), gpt.value), []).append(place)
    texts = list(owners)
    digests = {hashlib.sha256(text.encode()).digest(): number for number, text in enumerate(texts)}
    index: dict[tuple[str, ...], list[int]] = {}
    sizes = []
    for number, text in enumerate(texts):
        grams = set(runs(text.split()))
        sizes.append(len(grams))
        for gram in grams:
            index.setdefault(gram, []).append(number)
    found: set[int] = set()
    for item in benchmark_items(folder):
        text = pair(item.question, item.answer)
        same = digests.get(hashlib.sha256(text.encode()).digest())
        if same is not None:
            found.update(owners[texts[same]])
        if len(text.split()) < SHORTEST:
            continue
        grams = set(runs(text.split()))
        shared: dict[int, int] = {}
        for gram in grams:
            for number in index.get(gram, ()):
                shared[number] = shared.get(number, 0) + 1
        for number, count in shared.items():
            if count / min(len(grams), sizes[number]) >= SHARE:
                found.update(owners[texts[number]])
    return frozenset(found)


def pair(question: str, answer: str) -> str:
    return f"q {normal(question)} a {normal(answer)}"


def normal(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


def runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[place : place + GRAM]) for place in range(len(words) - GRAM + 1))


def rates(found: frozenset[int], planted: dict[int, str]) -> tuple[str, str]:
    """Precision and recall."""
    right = found & planted.keys()
    return f"{len(right) / len(found):.3f}" if found else "-", f"{len(right) / len(planted):.3f}"


def recall(found: frozenset[int], planted: dict[int, str], kind: str) -> float:
    rows = {row for row, one in planted.items() if one == kind}
    return len(rows & found) / len(rows)


if __name__ == "__main__":
    main()
