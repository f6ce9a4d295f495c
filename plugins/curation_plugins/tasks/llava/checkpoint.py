"""Loading and saving models, and telling a wrong one before it is used."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForImageTextToText

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.families.family import Family
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.families.processor import Processor

TYPES: Final = frozenset({"F32", "F16", "BF16"})
"""Of weights that can be trained or asked, as the safetensors format names them."""
_AGAIN: Final = "The assets were changed or damaged; make them again."
_OTHER: Final = "Is this a checkpoint of another model?"


def configuration(folder: Path) -> tuple[Any, Family]:
    """The model's configuration and its family; reads no weights.

    Raises:
        AssetsInvalid: the folder holds no model of a family there is.
    """
    try:
        # said, so that a folder with code of its own is refused and nobody is asked
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise AssetsInvalid(f"{folder}: there is no model here ({error})", hint=_AGAIN) from error
    return config, family_of(config)


def load(
    folder: Path, dtype: str = "float32", device: torch.device | str = "cpu", attention: str = "sdpa"
) -> tuple[Any, Processor]:
    """Model (evaluation mode) and processor from a local folder; nothing is ever downloaded.

    Raises:
        AssetsInvalid: the folder holds no model of a family there is, weights are missing or of a shape or type they
            cannot have, or are not numbers.
    """
    transformers.utils.logging.disable_progress_bar()
    _, family = configuration(folder)
    require_float(folder)
    try:
        model, told = AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            dtype=dtype,
            attn_implementation=attention,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise AssetsInvalid(f"{folder}: the model cannot be loaded ({error})", hint=_AGAIN) from error
    if told["missing_keys"]:
        missing = sorted(told["missing_keys"])
        raise AssetsInvalid(
            f"{folder}: {len(missing)} weights of the model are not in the file, the first {missing[0]}", hint=_OTHER
        )
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise AssetsInvalid(f"{folder}: {name} holds values that are no numbers (NaN or infinite)", hint=_AGAIN)
    processor = family.open(folder)
    _end_with(model, processor.tokenizer.convert_tokens_to_ids(family.end))
    return model.to(device).eval(), processor


def _end_with(model: Any, end: int) -> None:
    """An answer ends with the family's end token, also where the base model's settings do not know it."""
    now = model.generation_config.eos_token_id
    known = [] if now is None else [now] if isinstance(now, int) else list(now)
    if end not in known:
        model.generation_config.eos_token_id = [end, *known] if known else end


def save(folder: Path, model: Any, processor: Any) -> None:
    """Writes both, so that any engine that reads the Hugging Face layout can load them."""
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def require_float(folder: Path) -> None:
    """Looks at the weights' types, in the files' headers.

    Raises:
        AssetsInvalid: naming the first weight that is no floating point number of 16 or 32 bits.
    """
    for name, (kind, _) in _headers(folder).items():
        if kind not in TYPES:
            raise AssetsInvalid(
                f"{folder}: {name} is of type {kind}; weights must be one of {', '.join(sorted(TYPES))}",
                hint="A quantised or converted checkpoint cannot be used here.",
            )


def require_same_shapes(base: Path, other: Path) -> None:
    """Holds a checkpoint against the model it must be one of, in the files' headers only.

    Raises:
        AssetsInvalid: it is of another model.
    """
    mine, theirs = (configuration(folder)[0] for folder in (base, other))
    if mine.model_type != theirs.model_type:
        raise AssetsInvalid(f"{other} is a {theirs.model_type!r} and {base} a {mine.model_type!r}", hint=_OTHER)
    tied = bool(getattr(mine, "tie_word_embeddings", False))
    first, second = _shapes(base, tied=tied), _shapes(other, tied=tied)
    if first != second:
        shape = min(((first - second) + (second - first)).keys())
        raise AssetsInvalid(
            f"{other} has {second[shape]} weights of shape {list(shape)}, and {base} has {first[shape]}", hint=_OTHER
        )


def parameters(folder: Path) -> int:
    """How many numbers the weights of a folder are."""
    return sum(math.prod(shape) for _, shape in _headers(folder).values())


def _shapes(folder: Path, *, tied: bool) -> Counter[tuple[int, ...]]:
    """Names are left out: the same weights are called differently by different versions of transformers."""
    return Counter(
        shape for name, (_, shape) in _headers(folder).items() if not (tied and name.endswith("lm_head.weight"))
    )


def _headers(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every weight by name."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    out: dict[str, tuple[str, tuple[int, ...]]] = {}
    try:
        if index.exists():
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        for name in sorted(names):
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    part = file.get_slice(key)
                    out[key] = (part.get_dtype(), tuple(part.get_shape()))
    # TypeError, AttributeError: an index of another shape
    except (OSError, ValueError, TypeError, AttributeError, KeyError, SafetensorError) as error:
        raise AssetsInvalid(f"{folder}: no weights can be read from here ({error})", hint=_AGAIN) from error
    return out
