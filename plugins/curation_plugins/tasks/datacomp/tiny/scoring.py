"""Scores and features of the pool's pairs, from two small CLIP models that were trained on pairs of their own.

They are trained by the task's own trainer, from shards as the pool's, which are removed afterwards. What they say is
a real signal, and an imperfect one: neither has seen an image or a caption of the pool, both were raised on English
with some wrong pairs among it.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.api import Progress
from curation_plugins.selection import of_rows
from curation_plugins.tasks.datacomp import layout, models
from curation_plugins.tasks.datacomp.index_making import build_index
from curation_plugins.tasks.datacomp.pairs import to_model
from curation_plugins.tasks.datacomp.recipe import Recipe, read_recipe
from curation_plugins.tasks.datacomp.tiny.captions import STYLES, caption
from curation_plugins.tasks.datacomp.tiny.concepts import Concept, digit_shares, pick, random_concept
from curation_plugins.tasks.datacomp.tiny.drawing import draw, jpeg
from curation_plugins.tasks.datacomp.tiny.model import write_model
from curation_plugins.tasks.datacomp.tiny.pool import LOOK, Pair
from curation_plugins.tasks.datacomp.tiny.settings import ScorerSettings
from curation_plugins.tasks.datacomp.tiny.shards import write_metadata, write_shards
from curation_plugins.tasks.datacomp.train import Trainer

Floats = NDArray[np.float32]

THUMBNAIL = 8
"""Side of the picture that the copy-detection vector is made of."""
_BATCH = 512


def scored(
    pairs: Sequence[Pair], settings: ScorerSettings, number: int, seed: int, progress: Progress
) -> tuple[Floats, Floats]:
    """Normalised embeddings of the pairs' images and of their texts, each (pairs, width).

    Args:
        number: which of the scoring models; part of its seed.
    """
    # each begins at weights of its own: what it says owes nothing to the beginning that the task's trainings share
    recipe = read_recipe({"extends": "tiny", "samples": settings.samples, "workers": 0, "init_seed": None})
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        _write_pairs(folder, settings, [seed, 111, number])
        chosen = folder / "selection.npy"
        of_rows(range(settings.pairs), kind="uids").write(chosen)
        job = {
            "recipe": recipe.applied(),
            "assets": str(folder),
            "out": str(folder / "out"),
            "selection": str(chosen),
            "seed": number,
        }
        (folder / "out").mkdir()
        Trainer().train(job, progress)
        return _embedded(folder / "out" / "model", recipe, folder, pairs)


def thumbnails(pairs: Iterable[Pair]) -> Floats:
    """A vector for finding copies, (pairs, 192): the image at 8x8, without its mean, normalised."""
    small = [
        np.asarray(Image.open(io.BytesIO(pair.image)).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
        for pair in pairs
    ]
    flat = np.stack(small).reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    found: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return found


def _write_pairs(folder: Path, settings: ScorerSettings, seed: list[int]) -> None:
    """An assets folder with the scoring model's own pairs."""
    rng = np.random.default_rng(seed)
    scans = digit_shares(seed[0])["scoring"]
    concepts = [random_concept(rng, scans) for _ in range(settings.pairs)]
    told: list[Concept] = list(concepts)
    wrong = rng.permutation(settings.pairs)[: round(settings.pairs * settings.wrong)].tolist()
    for place, other in zip(wrong, [*wrong[1:], *wrong[:1]], strict=True):
        told[place] = concepts[other]
    pairs = [
        Pair(
            "own",
            "",
            jpeg(draw(shown, LOOK, rng)),
            caption(said, "en", pick(rng, STYLES), rng),
            "",
            "en",
            f"{n:032x}",
        )
        for n, (shown, said) in enumerate(zip(concepts, told, strict=True))
    ]
    write_shards(layout.shards(folder), pairs, (), len(pairs))
    write_metadata(layout.metadata(folder), pairs, None, 1)
    write_model(layout.model(folder))
    build_index(folder, lambda what, done: None)


@torch.inference_mode()
def _embedded(model: Path, recipe: Recipe, assets: Path, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    opened = models.open_model(model, recipe, assets)
    visual = opened.model.visual
    images, texts = [], []
    for start in range(0, len(pairs), _BATCH):
        some = pairs[start : start + _BATCH]
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(pair.image))) for pair in some])
        ready = to_model(torch.from_numpy(pixels).permute(0, 3, 1, 2), visual.image_mean, visual.image_std)
        images.append(opened.model.encode_image(ready, normalize=True).numpy())
        texts.append(opened.model.encode_text(opened.tokenizer([pair.text for pair in some]), normalize=True).numpy())
    return np.concatenate(images), np.concatenate(texts)
