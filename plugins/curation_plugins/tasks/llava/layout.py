"""Where things lie in the assets folder of a LLaVA task."""

from __future__ import annotations

from pathlib import Path


def base_model(assets: Path) -> Path:
    """The untrained starting point: model and processor in the Hugging Face layout."""
    return assets / "base"


def pool(assets: Path) -> Path:
    """What the agent sees at /pool."""
    return assets / "pool"


def rows_file(assets: Path) -> Path:
    """The pool's rows, one JSON object a line."""
    return pool(assets) / "rows.jsonl"


def benchmarks(assets: Path) -> Path:
    """Items of both halves and their images; never shown to an agent."""
    return assets / "benchmarks"


def truth_file(assets: Path) -> Path:
    """Planted truth of every row, where there is any; never shown to an agent."""
    return assets / "truth.jsonl"
