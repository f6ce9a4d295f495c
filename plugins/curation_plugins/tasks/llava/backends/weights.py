"""A checkpoint's weights on their way into vLLM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from curation_plugins.errors import AssetsInvalid

_TOWER = re.compile(r"vision_tower\.(?!vision_model\.)")
_AGAIN = "The checkpoint was changed or damaged, or belongs to another task; train again."


def published_name(name: str) -> str:
    """A tensor's name as in the checkpoints on the hub, which vLLM expects.

    transformers 5 saves CLIP's tower without the level `vision_model` that it has there (measured: transformers
    5.23.0 beside vLLM 0.32.0).
    """
    return _TOWER.sub("vision_tower.vision_model.", name)


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Published names and tensors of a checkpoint, one tensor in memory at a time.

    Raises:
        AssetsInvalid: a file cannot be read, or a weight is no finite number.
    """
    for path in _files(folder):
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    tensor = file.get_tensor(name)
                    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                        raise AssetsInvalid(f"{path.name}: {name} holds NaN or infinity", hint=_AGAIN)
                    yield published_name(name), tensor
        except SafetensorError as error:
            raise AssetsInvalid(f"{path}: cannot be read as weights ({error})", hint=_AGAIN) from None


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise AssetsInvalid(f"{folder} holds no safetensors file", hint=_AGAIN)
    return files
