"""What the benchmarks share: the machine in a line, medians, a small table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence

from curation_harness import provenance
from curation_sandbox.spec import format_size


def machine() -> str:
    """Processor, cores, memory, kernel and load, for the line above a table."""
    here = provenance.hardware()
    load = os.getloadavg()[0]
    gpus = f", {len(here.gpus)} GPU" if here.gpus else ""
    return (
        f"{here.processor}, {here.cpus} cores{gpus}, {format_size(here.memory_bytes)}, Linux {here.kernel},"
        f" Python {platform.python_version()}, load {load:.1f}"
    )


def spread(values: Sequence[float]) -> str:
    """Median, and the smallest and largest value."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as they need; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def verdict(name: str, value: float, aim: float, *, at_most: bool) -> None:
    holds = value <= aim if at_most else value >= aim
    sign = "≤" if at_most else "≥"
    print(f"\n{name}: {value:.3g} (aim {sign} {aim:g}: {'holds' if holds else 'MISSED'})")
