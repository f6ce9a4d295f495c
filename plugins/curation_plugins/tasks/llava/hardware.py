"""What a training ran on: the device, and what of it goes into the record."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import torch

from curation_plugins.tasks.llava.recipe import Recipe

_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "liger-kernel", "flash-attn")


def device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def start_measuring() -> None:
    """Forgets the largest memory so far."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def release() -> None:
    """Gives the card's unused memory back to other processes."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def counts(recipe: Recipe) -> dict[str, float]:
    """Numbers for the record: threads, cards, and on CUDA the most memory that tensors took, bytes."""
    out: dict[str, float] = {
        "threads": recipe.threads,
        "image_workers": recipe.image_workers,
        "cards": recipe.cards,
        "micro_batch": recipe.rows_a_pass,
    }
    if torch.cuda.is_available() and recipe.cards == 1:
        out["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    return out


def about(recipe: Recipe, where: torch.device) -> dict[str, str]:
    """Words for the record: recipe, device, processor, versions of what computes."""
    on_card = where.type == "cuda"
    out = {
        "recipe": recipe.name,
        "precision": recipe.precision if on_card or recipe.precision == "bf16" else "fp32",
        "device": torch.cuda.get_device_name(where) if on_card else "cpu",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    if on_card:
        out["cuda"] = str(torch.version.cuda)
    for name in _PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out
