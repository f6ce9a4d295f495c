"""What a fetched task takes: disk, memory, operations. Estimates, each with its formula; nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from curation_plugins.api import Needs, SmallerNeeds
from curation_plugins.config import TaskConfig
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.recipes import FOLDER
from curation_plugins.tasks.llava.settings import AssetSettings
from curation_plugins.tasks.llava.sources.registry import ModelEntry
from curation_plugins.tasks.llava.sources.settings import FetchedSettings
from curation_plugins.tasks.llava.tiny.settings import TinySettings
from curation_plugins.tasks.named_recipes import named_recipes

TEXT_TOKENS: Final = 183
"""Mean tokens of a row's text: 10,000 rows of LLaVA-665K were 7.59 million tokens at 576 an image (one public
replication of arXiv 2606.04261; not checked here)."""
IMAGE_TOKENS: Final = 576
"""Of an image, where the model's entry has no number: LLaVA-1.5's."""
LONG_ROW: Final = 2
"""How much longer than the mean the rows are for whose activations memory is planned."""
SMALLER_CARD: Final = 80 * 10**9
"""Bytes of a card that recipes are named for where the task's own does not fit."""
REQUESTS: Final = 10_100
"""Of the eight benchmarks, MMBench's rotated copies included."""
PROMPT_TOKENS: Final = 650
"""Mean tokens of a benchmark's prompt, image included."""
ANSWER_TOKENS: Final = 128
"""Upper end of a mean answer."""
HOST_SPARE: Final = 8 * 2**30
"""Bytes of main memory that a process takes beside the weights: interpreter, libraries, a few batches of images."""
RECOMPUTED: Final = 4 / 3
"""Work of a training that recomputes its activations, against one that keeps them: a forward pass more."""

HOW: Final[Mapping[str, str]] = {
    "disk": "downloads (members of the archives, each beside its archive while that is unpacked) and the rows once"
    " more; images and model are linked",
    "host memory": "4 bytes a parameter, through which the weights pass, and 8 GiB a card; with several cards as many"
    " bytes a parameter more as the saved weights have (4 or 2); estimate",
    "device memory": "bytes a trained parameter for weights, gradients and Adam's two moments (16 in fp32, 8 in bf16,"
    " 10 with 8-bit moments), over the cards; a frozen one 2 (fp32: 4); activations of a pass:"
    " 34·rows·tokens·width·layers (arXiv 2205.05198, eq. 2, attention not materialised), rows of twice"
    " the mean length; recomputed: 2·rows·tokens·width·layers and one layer's; estimate",
    "training": "6·parameters of the language model·tokens (arXiv 2001.08361, 2.1), a third more where activations"
    " are recomputed, 759 tokens a row for LLaVA-1.5; estimate",
    "evaluation": "2·parameters·tokens, 10,100 requests of 650 and at most 128 tokens; estimate",
}


def checkpoint_bytes(settings: AssetSettings, recipe: Recipe) -> int | None:
    """Bytes of one trained model on disk; none for the tiny one."""
    if isinstance(settings, TinySettings):
        return None
    return (4 if recipe.saved == "float32" else 2) * settings.model_entry().parameters


def needs(settings: AssetSettings, recipe: Recipe, config: TaskConfig) -> Needs | None:
    """Estimates for a fetched task; none for one that is made here."""
    if isinstance(settings, TinySettings):
        return None
    model = settings.model_entry()
    tokens = config.submission.rows_max * (recipe.epochs or 1) * row_tokens(model)
    if recipe.steps is not None:
        tokens = recipe.steps * recipe.batch * row_tokens(model)
    language = model.parameters - model.tower
    spent_on = f"{recipe.tuning} tuning, precision {recipe.precision}, {recipe.optimiser}"
    return Needs(
        disk=disk_bytes(settings, config.benchmarks),
        host_memory=_host_bytes(model, recipe),
        cards=recipe.cards,
        device_memory=device_bytes(model, recipe),
        device_memory_name=spent_on,
        train_flop=6.0 * language * tokens * (RECOMPUTED if recipe.checkpointing else 1),
        evaluate_flop=2.0 * language * REQUESTS * (PROMPT_TOKENS + ANSWER_TOKENS),
        how=HOW,
        instead=_smaller(model, recipe),
    )


def _smaller(model: ModelEntry, recipe: Recipe) -> tuple[SmallerNeeds, ...]:
    """The named recipes of the model's family that fit a card of 80 GB and take less of it than this one. They are
    other recipes: scores under them compare with each other only."""
    out = []
    for name in named_recipes(FOLDER):
        other = read_recipe({"extends": name})
        memory = device_bytes(model, other)
        if other.family == recipe.family and memory < device_bytes(model, recipe) and memory <= SMALLER_CARD:
            what = f"{other.tuning} tuning, precision {other.precision}, {other.optimiser}"
            setting = f"recipe.extends={name}"
            out.append(SmallerNeeds(setting=setting, what=what, cards=other.cards, device_memory=memory))
    return tuple(sorted(out, key=lambda one: one.device_memory))


def disk_bytes(settings: FetchedSettings, benchmarks: tuple[str, ...]) -> int:
    """The most that the task's files take at a time, bytes, as far as sizes are known."""
    wants = settings.wants(benchmarks)
    kept = sum(want.source.bytes or 0 for want in wants)
    archives = [want.source.bytes or 0 for want in wants if want.unpack]
    return kept + max(archives, default=0) + (settings.pool_entry().annotations.bytes or 0)


def _host_bytes(model: ModelEntry, recipe: Recipe) -> int:
    """Bytes of main memory while training. Several cards are given the weights one after the other; in the end all of
    them are gathered in fp32 and copied into a model that is saved."""
    gathered = 0 if recipe.cards == 1 else (4 if recipe.saved == "float32" else 2)
    return (4 + gathered) * model.parameters + recipe.cards * HOST_SPARE


def device_bytes(model: ModelEntry, recipe: Recipe) -> int:
    """Bytes on each accelerator while training."""
    if recipe.tuning == "lora":
        trained = adapter_parameters(model, recipe)
        frozen = model.parameters
    else:
        trained = model.parameters - (0 if recipe.train_tower else model.tower)
        frozen = model.parameters - trained
    weight = 2 if recipe.precision == "bf16" else 4
    moments = 2 if recipe.optimiser == "adamw-8bit" else 2 * weight
    kept = (2 * weight + moments) * trained // recipe.cards
    return kept + (4 if recipe.precision == "fp32" else 2) * frozen + _activation_bytes(model, recipe)


def _activation_bytes(model: ModelEntry, recipe: Recipe) -> int:
    tokens = recipe.rows_a_pass * min(recipe.max_tokens, LONG_ROW * row_tokens(model))
    layer = 34 * tokens * model.width
    return layer + 2 * tokens * model.width * model.layers if recipe.checkpointing else layer * model.layers


def row_tokens(model: ModelEntry) -> int:
    """Mean tokens of a row."""
    return TEXT_TOKENS + (model.image_tokens or IMAGE_TOKENS)


def adapter_parameters(model: ModelEntry, recipe: Recipe) -> int:
    """About: rank·(in + out) on the seven linear layers of each block, as if all were width by width but the three of
    the MLP, which are 2.7 times as wide on one side (Llama's shape)."""
    attention, mlp = 4 * 2 * model.width, 3 * (model.width + int(2.7 * model.width))
    return model.layers * recipe.lora.rank * (attention + mlp)
