"""What a fetched task takes: disk, memory, operations. Estimates, each with its formula; nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation_plugins.api import Needs
from curation_plugins.config import TaskConfig
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_plugins.tasks.datacomp.settings import AssetSettings
from curation_plugins.tasks.datacomp.sources.settings import FetchedSettings


@dataclass(frozen=True, kw_only=True)
class Tower:
    """A transformer."""

    tokens: int
    width: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A CLIP model of open_clip's."""

    parameters: int
    macs: float
    """Multiply-adds of one pair's forward pass."""
    side: int
    """Of an image, pixels."""
    image: Tower
    text: Tower


SHAPES: Final[Mapping[str, Shape]] = {
    "ViT-B-32": Shape(
        parameters=151_280_000,
        macs=7.4e9,
        side=224,
        image=Tower(tokens=50, width=768, layers=12),
        text=Tower(tokens=77, width=512, layers=12),
    ),
    "ViT-B-16": Shape(
        parameters=149_620_000,
        macs=20.6e9,
        side=224,
        image=Tower(tokens=197, width=768, layers=12),
        text=Tower(tokens=77, width=512, layers=12),
    ),
    "ViT-L-14": Shape(
        parameters=427_620_000,
        macs=87.7e9,
        side=224,
        image=Tower(tokens=257, width=1024, layers=24),
        text=Tower(tokens=77, width=768, layers=12),
    ),
}
"""Models of DataComp's scales (open_clip's model profile; 7.4e9 is DataComp's own figure, arXiv 2304.14108)."""

INDEX_BYTES: Final = 52
"""A row's, on disk: uid 16, place of the pair 28, place in the metadata 8."""
INDEXING_BYTES: Final = 64
"""Of memory a uid while the index is made; ``tests/benchmarks/pool_index.py`` measured it."""
HOST_SPARE: Final = 8 * 2**30
"""Bytes of main memory that a training process takes beside its readers."""
READER: Final = 2**30
"""Bytes of one process that reads and decodes."""
RECOMPUTED: Final = 4 / 3
"""Work of a training that recomputes its activations, against one that keeps them: a forward pass more."""

HOW: Final[Mapping[str, str]] = {
    "disk": "metadata, features and evaluation sets whose sizes are known, and 52 bytes a row for the index; the"
    " shards are yours, and only linked",
    "host memory": "8 GiB a card and 1 GiB a reading process; or 64 bytes a uid while the index is made; estimate",
    "device memory": "16 bytes a parameter (weights, gradients, Adam's two moments in fp32); activations of a pass:"
    " 34·pairs·tokens·width·layers for each tower (arXiv 2205.05198, eq. 2, attention not materialised); recomputed:"
    " 2·pairs·tokens·width·layers and one layer's; the images in fp32; estimate",
    "training": "2·3·multiply-adds of a pair's forward pass·pairs seen, a third more where activations are recomputed"
    " (DataComp's own 9.5e16 counts the forward pass only); decoding JPEG may take longer than that: DataComp's"
    " 4 hours on one A100 are 890 images a second; estimate",
    "evaluation": "2·multiply-adds of a pair·items; estimate",
}


def checkpoint_bytes(recipe: Recipe) -> int | None:
    """Bytes of one trained model on disk, fp32; none for models too small to plan for."""
    shape = SHAPES.get(recipe.model)
    return None if shape is None else 4 * shape.parameters


def needs(settings: AssetSettings, recipe: Recipe, config: TaskConfig) -> Needs | None:
    """Estimates for a fetched task; none for one that is made here, or of a model whose shape is not known."""
    shape = SHAPES.get(recipe.model)
    if not isinstance(settings, FetchedSettings) or shape is None:
        return None
    items = sum(look_up(key).items or 0 for key in config.benchmarks)
    work = 2.0 * 3 * shape.macs * recipe.samples
    return Needs(
        disk=disk_bytes(settings, config.benchmarks),
        host_memory=max(
            recipe.cards * (HOST_SPARE + recipe.workers * READER), INDEXING_BYTES * settings.pool_entry().rows
        ),
        cards=recipe.cards,
        device_memory=16 * shape.parameters + _activation_bytes(shape, recipe),
        device_memory_name=f"{recipe.model}, {recipe.rows_a_pass} pairs a pass, precision {recipe.precision}",
        train_flop=work * (RECOMPUTED if recipe.checkpointing or recipe.micro_batch else 1),
        evaluate_flop=2.0 * shape.macs * items,
        how=HOW,
    )


def disk_bytes(settings: FetchedSettings, benchmarks: tuple[str, ...]) -> int:
    """What the task's files take, bytes, as far as sizes are known."""
    wants = settings.wants(benchmarks)
    return sum(want.source.bytes or 0 for want in wants) + INDEX_BYTES * settings.pool_entry().rows


def _activation_bytes(shape: Shape, recipe: Recipe) -> int:
    pairs, value = recipe.rows_a_pass, 4 if recipe.precision == "fp32" else 2
    kept = 0
    for tower in (shape.image, shape.text):
        layer = 17 * value * pairs * tower.tokens * tower.width
        through = value * pairs * tower.tokens * tower.width * tower.layers
        kept += layer + through if recipe.checkpointing else layer * tower.layers
    return kept + 4 * pairs * 3 * shape.side**2
