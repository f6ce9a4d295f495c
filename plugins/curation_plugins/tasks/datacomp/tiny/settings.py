"""The numbers from which the files of `datacomp-tiny` are made: `assets` in its task.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation_plugins.config import Frozen


class ScorerSettings(Frozen):
    """One of the two CLIP models whose scores and features come with the pool."""

    pairs: int = Field(gt=0)
    """True pairs of its own that it is trained on; no image or caption of them is in the pool."""
    samples: int = Field(gt=0)
    """Pairs seen in its training, by the task's recipe."""
    wrong: float = Field(ge=0, lt=1)
    """Share of its pairs that are exchanged: it is a judge that was raised on the web, too."""


class TinySettings(Frozen):
    """Files that are made on this machine; everything they follow from."""

    kind: Literal["made"] = "made"
    """Told apart from `fetched` by this."""
    seed: int = 0
    """Seeds pool, evaluation sets and scoring models."""
    rows: int = Field(default=10_000, ge=200)
    """Pairs of the pool that can be chosen."""
    dead: int = Field(default=300, ge=0)
    """Rows of the metadata whose image is in no shard, as with every real download."""
    shard: int = Field(default=1000, gt=0)
    """Most pairs of one tar."""
    files: int = Field(default=4, gt=0)
    """Metadata files."""
    items: int = Field(default=400, ge=20)
    """Items of each evaluation set, both halves together."""
    b32: ScorerSettings = ScorerSettings(pairs=1500, samples=8_000, wrong=0.4)
    """The weaker scoring model, in the place of ViT-B/32."""
    l14: ScorerSettings = ScorerSettings(pairs=4000, samples=16_000, wrong=0.2)
    """The better one, in the place of ViT-L/14."""
