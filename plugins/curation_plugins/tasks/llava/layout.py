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


def excluded_file(assets: Path) -> Path:
    """Ids of the rows that nobody may choose, as a JSON array; there may be none."""
    return pool(assets) / "excluded.json"


def audit(assets: Path) -> Path:
    """Which rows hold benchmark items, with evidence; never shown to an agent."""
    return assets / "audit"


def pool_vectors(assets: Path) -> Path | None:
    """Embeddings that ship with the pool, one vector a row, of CLIP rather than of the base model; none: there are
    none."""
    folder = pool(assets) / "signals"
    return next((folder / n for n in ("clip_embeddings.npy", "embeddings.npy") if (folder / n).exists()), None)


def benchmarks(assets: Path) -> Path:
    """Items of both halves and their images; never shown to an agent."""
    return assets / "benchmarks"


def truth_file(assets: Path) -> Path:
    """Planted truth of every row, where there is any; never shown to an agent."""
    return assets / "truth.jsonl"


def judge_replies(assets: Path) -> Path:
    """What judges have said, by content: beside all assets of the cache, so that it outlives them."""
    return assets.parent / "judge-replies"
