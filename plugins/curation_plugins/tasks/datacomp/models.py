"""Making, saving and opening the models of the family, all through open_clip's own factory."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors import SafetensorError
from safetensors.torch import save_file

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks import hardware
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_plugins.tasks.hardware import set_determinism

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = "model.safetensors"
Tokenizer = Callable[[Sequence[str]], torch.Tensor]
"""Texts → ids, int64, (texts, context length)."""

_WRONG: Final = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError)
"""What open_clip raises for a configuration or for weights that make no sense."""
_AGAIN: Final = "The assets were changed or damaged; make them again."


@dataclass(frozen=True)
class Opened:
    """A model in evaluation mode, fp32, with what goes with it."""

    model: Any
    """``open_clip.CLIP``, or its variant with another text tower."""
    tokenizer: Tokenizer
    preprocess: Callable[[Any], torch.Tensor]
    """PIL image → (3, side, side), fp32: open_clip's transform for evaluation."""
    device: torch.device
    text_key: str
    """Equal for two models whose tokenizers give the same ids, hex."""


def source(recipe: Recipe, assets: Path) -> str:
    """What open_clip's factory is asked for: a name it knows, or a local folder."""
    return f"local-dir:{layout.model(assets)}" if recipe.model == "own" else recipe.model


def configuration(recipe: Recipe, assets: Path) -> dict[str, Any]:
    """``model_cfg`` and ``preprocess_cfg``, as open_clip writes them into a model's folder.

    Raises:
        AssetsInvalid: open_clip knows no model of the recipe's name, or the assets hold none.
    """
    if recipe.model != "own":
        found = open_clip.get_model_config(recipe.model)
        if found is None:
            raise AssetsInvalid(
                f"recipe.model: open_clip {open_clip.__version__} knows no model {recipe.model!r}",
                hint="`python -c 'import open_clip; print(open_clip.list_models())'` lists them.",
            )
        return {"model_cfg": found, "preprocess_cfg": {}}
    path = layout.model(assets) / CONFIG
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {"model_cfg": told["model_cfg"], "preprocess_cfg": told.get("preprocess_cfg", {})}
    except _WRONG as error:
        raise AssetsInvalid(f"{path}: no configuration of a model ({error})", hint=_AGAIN) from error


def fresh(recipe: Recipe, assets: Path, seed: int, device: torch.device) -> Any:
    """The model to train, with open_clip's random weights under the recipe's `init_seed`, else under `seed`; fp32, in
    training mode. What torch draws afterwards follows from `seed`.

    Raises:
        AssetsInvalid: there is no such model.
    """
    configuration(recipe, assets)
    torch.manual_seed(seed if recipe.init_seed is None else recipe.init_seed)
    model = _create(source(recipe, assets), load_weights=False)
    torch.manual_seed(seed)
    if recipe.checkpointing:
        model.set_grad_checkpointing()
    return model.to(device).train()


def tokenizer(recipe: Recipe, assets: Path) -> Tokenizer:
    """The model's tokenizer."""
    made: Tokenizer = open_clip.get_tokenizer(source(recipe, assets))
    return made


def save(folder: Path, model: Any, recipe: Recipe, assets: Path) -> None:
    """Writes a folder that open_clip opens as ``local-dir:FOLDER``: configuration, weights, and the tokenizer's files
    where the task brings its own."""
    folder.mkdir(parents=True)
    if recipe.model == "own":
        for path in sorted(layout.model(assets).iterdir()):
            if path.is_file() and path.suffix in (".json", ".txt", ".model") and path.name != CONFIG:
                shutil.copyfile(path, folder / path.name)
    told = json.dumps(configuration(recipe, assets), indent=1, sort_keys=True)
    (folder / CONFIG).write_text(told + "\n", encoding="utf-8")
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def open_model(path: Path | None, recipe: Recipe, assets: Path, device: torch.device | None = None) -> Opened:
    """A trained model's folder (`save`), opened for scoring.

    Args:
        path: none for the untrained model, under the recipe's `init_seed`, else under seed 0.

    Raises:
        AssetsInvalid: there is no model, or its weights are not those of its configuration, or no numbers.
    """
    where = device or hardware.device()
    set_determinism(recipe.threads, 0, deterministic=recipe.deterministic)
    if path is None:
        model, name = fresh(recipe, assets, 0, where), source(recipe, assets)
    else:
        name = f"local-dir:{path}"
        model = _create(name, load_weights=True).to(where)
    for key, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise AssetsInvalid(f"{path or name}: {key} holds values that are no numbers (NaN or infinite)")
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    made: Tokenizer = open_clip.get_tokenizer(name)
    key = _text_key(made, path or layout.model(assets), configuration(recipe, assets)["model_cfg"])
    return Opened(model.eval(), made, transform, where, key)


def _create(name: str, *, load_weights: bool) -> Any:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it tells each step, and warns that there are no weights where none are wanted
    try:
        return open_clip.create_model(
            name, load_weights=load_weights, require_pretrained=load_weights, output_dict=True
        )
    except (*_WRONG, SafetensorError) as error:
        raise AssetsInvalid(f"{name}: the model cannot be opened ({error})", hint=_AGAIN) from error
    finally:
        logging.disable(before)


def _text_key(made: Any, folder: Path, model: Mapping[str, Any]) -> str:
    """Of the tokenizer's kind, text length, options and files."""
    options = {key: value for key, value in model.get("text_cfg", {}).items() if "token" in key}
    told = [type(made).__name__, made.context_length, options, open_clip.__version__]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    if folder.is_dir() and type(made).__name__ != "SimpleTokenizer":
        for path in sorted(folder.glob("*")):
            if path.is_file() and path.name not in (CONFIG, WEIGHTS):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
