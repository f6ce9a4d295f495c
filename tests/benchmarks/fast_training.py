"""The training loop against a plain one, on the same batches, in one run: ratio and largest difference of a loss.

    python tests/benchmarks/fast_training.py [--assets FOLDER --recipe llava-1.5-full] [--steps 50] [--repeat 3]

Without `--assets` a small stand-in of LLaVA is made: the true classes, two layers of width 64, 32,000 tokens. The
plain loop is `tests/unit/plain_loop.py`: one row a forward pass, every logit, activations recomputed, AdamW not
fused. Each line adds one thing to the one above.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.train import PoolState
from curation_plugins.tasks.llava.vision import FeatureStore, Opener
from plain_loop import plain_losses
from small_models import make_assets

AIM = 1.0
STAND_IN = {"steps": 50, "batch": 8, "lr": 1e-3, "max_tokens": 256, "precision": "fp32", "threads": 1}
VOCABULARY = 32_000
ROWS = 64

Arm = Callable[[], list[float]]


def arms(assets: Path, values: dict[str, Any]) -> dict[str, Arm]:
    """What is run, by name; the first is what the others are held against."""
    usual = PoolState(assets, read_recipe({**values, "micro_batch": None, "checkpointing": False}))
    places = tuple(range(min(len(usual._rows), 16 * usual.recipe.batch)))
    rows, weights = usual.encoded(places), [1.0] * len(places)
    opener = Opener(usual.processor, usual.config, assets / "pool", usual.recipe.image_workers)

    def plain() -> list[float]:
        model = usual.fresh()
        return plain_losses(model, rows, weights, opener, usual.recipe, 0, usual.pad_id, checkpointing=True)

    def ours(pictures: Any = opener, **changed: Any) -> Arm:
        recipe = read_recipe({**usual.recipe.model_dump(), **changed})
        return lambda: list(fit(usual.fresh(), rows, weights, pictures, recipe, 0, usual.pad_id).losses)

    out: dict[str, Arm] = {
        "plain loop": plain,
        "logits at supervised positions, fused AdamW": ours(micro_batch=1, checkpointing=True),
        "no checkpointing": ours(micro_batch=1),
        "micro-batches of similar length": ours(micro_batch=values.get("micro_batch") or usual.recipe.batch),
    }
    if isinstance(usual.features, FeatureStore):
        out["tower features kept"] = ours(usual.features)
    if torch.cuda.is_available() and usual.recipe.liger:
        out["Liger's kernels"] = ours(liger=True)
    return out


def timed(arm: Arm) -> tuple[float, list[float]]:
    before = time.perf_counter()
    losses = arm()
    return time.perf_counter() - before, losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--recipe", default="llava-1.5-full")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        if given.assets:
            assets, values = given.assets, {"extends": given.recipe, "precision": "fp32", "steps": given.steps}
        else:
            assets = make_assets("llava-1.5", Path(folder) / "assets", ROWS, VOCABULARY)
            values = {**STAND_IN, "steps": given.steps}
        todo = arms(assets, values)
        seconds: dict[str, list[float]] = {name: [] for name in todo}
        losses: dict[str, list[float]] = {}
        for _ in range(given.repeat):
            for name, arm in todo.items():
                took, losses[name] = timed(arm)
                seconds[name].append(took / given.steps)
    first = next(iter(todo))
    base = statistics.median(seconds[first])
    print(measuring.machine(), f"\n{given.steps} steps, {given.repeat} times in turns, fp32\n")
    table = [("loop", "seconds a step: median (range)", "times as fast", "largest relative difference of a loss")]
    for name, each in seconds.items():
        apart = max(abs(a - b) / abs(b) for a, b in zip(losses[name], losses[first], strict=True))
        table.append((name, measuring.spread(each), f"{base / statistics.median(each):.2f}", f"{apart:.1e}"))
    measuring.table(table)
    fastest = min(statistics.median(each) for each in seconds.values())
    measuring.verdict("plain / fastest", base / fastest, AIM, at_most=False)


if __name__ == "__main__":
    main()
