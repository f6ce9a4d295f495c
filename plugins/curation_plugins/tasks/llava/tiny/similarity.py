"""Image–text similarity, as a CLIP trained on the pool itself would give it.

Two small encoders (tower features; a bag of tokens) are trained with the contrastive loss of CLIP on the pool's
own noisy pairs, with no knowledge of which are good. Cross-fitted by source: a row is scored by encoders that were
trained on other sources, so that neither it nor a copy of it is scored by what memorised it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

WIDTH = 64
"""Length of an embedding."""
STEPS = 300
"""Training steps for each fold."""
FOLDS = 4
"""Groups of sources; each is scored by encoders trained on the others."""
BATCH = 256
"""Pairs a step."""


class _Pair(nn.Module):
    def __init__(self, image_width: int, vocabulary: int) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(image_width, 256), nn.GELU(), nn.Linear(256, WIDTH))
        self.words = nn.EmbeddingBag(vocabulary, 128, mode="mean")
        self.text = nn.Sequential(nn.LayerNorm(128), nn.Linear(128, 256), nn.GELU(), nn.Linear(256, WIDTH))
        self.scale = nn.Parameter(torch.tensor(2.66))  # ln(1/0.07), as CLIP starts

    def embed(
        self, images: torch.Tensor, tokens: torch.Tensor, offsets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        left = nn.functional.normalize(self.image(images), dim=-1)
        right = nn.functional.normalize(self.text(self.words(tokens, offsets)), dim=-1)
        return left, right


def cross_fitted(
    features: torch.Tensor,
    texts: Sequence[Sequence[int]],
    sources: Sequence[str],
    vocabulary: int,
    seed: int,
) -> list[float]:
    """Cosine similarity of each image with its own text, in [-1, 1].

    Args:
        features: tower features, (n, tokens, width).
        texts: token ids of question and answer, one list an image.
        sources: source name of each.
    """
    torch.manual_seed(seed)
    images = features.flatten(1)
    images = (images - images.mean(0)) / (images.std(0) + 1e-6)
    fold_of = {source: place % FOLDS for place, source in enumerate(sorted(set(sources)))}
    out = torch.zeros(len(texts))
    for fold in range(FOLDS):
        train = [place for place, source in enumerate(sources) if fold_of[source] != fold]
        test = [place for place, source in enumerate(sources) if fold_of[source] == fold]
        if not train or not test:
            continue
        pair = _train(images, texts, train, vocabulary, np.random.default_rng([seed, 41, fold]))
        with torch.no_grad():
            left, right = pair.embed(images[test], *_bags(texts, test))
        out[test] = (left * right).sum(-1)
    return [float(value) for value in out]


def _train(
    images: torch.Tensor,
    texts: Sequence[Sequence[int]],
    places: list[int],
    vocabulary: int,
    rng: np.random.Generator,
) -> _Pair:
    pair = _Pair(images.shape[1], vocabulary)
    optimiser = torch.optim.AdamW(pair.parameters(), lr=2e-3, weight_decay=0.1)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = rng.choice(places, size=min(BATCH, len(places)), replace=False).tolist()
        left, right = pair.embed(images[chosen], *_bags(texts, chosen))
        logits = pair.scale.exp().clamp(max=100.0) * left @ right.T
        target = torch.arange(len(chosen))
        loss = nn.functional.cross_entropy(logits, target)
        loss = (loss + nn.functional.cross_entropy(logits.T, target)) / 2
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    return pair.eval()


def _bags(texts: Sequence[Sequence[int]], places: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    flat = [token for place in places for token in texts[place]]
    starts = np.cumsum([0, *(len(texts[place]) for place in places[:-1])])
    return torch.tensor(flat), torch.from_numpy(starts)
