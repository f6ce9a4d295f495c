"""All settings of the pruner in one place (they were spread over the script)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """Percentiles of perplexity within a source, both ends kept."""

    low: float
    high: float


@dataclass(frozen=True)
class Settings:
    bands: dict
    rows: int = 120
    smoothing: float = 0.5


CURRENT = Settings(
    bands={
        "meadow": Band(35, 95),
        "north": Band(40, 95),
        "stone": Band(40, 100),
        "amber": Band(35, 95),
        "harbor": Band(45, 100),
        "maple": Band(35, 95),
    }
)
