"""What a training runs on: the device, what is fixed there for equal results, and what of it goes into the record."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable

import torch


def device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_determinism(threads: int, seed: int, *, deterministic: bool = True) -> None:
    """Seeds torch on every device, and fixes everything that torch lets one fix, for this process."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    # Writing NaN into fresh memory is a guard against bugs; equal results do not need it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def start_measuring() -> None:
    """Forgets the largest memory so far."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> dict[str, float]:
    """For the record, on CUDA: the most memory that this process' tensors took, bytes."""
    return {"peak_memory_bytes": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {}


def release() -> None:
    """Gives the card's unused memory back to other processes."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def about(where: torch.device, recipe: str, precision: str, packages: Iterable[str]) -> dict[str, str]:
    """Words for the record: recipe, device, processor, versions of torch and of those `packages` that are there.

    Args:
        precision: as it is on a card; a CPU computes `mixed` in fp32.
    """
    on_card = where.type == "cuda"
    out = {
        "recipe": recipe,
        "precision": precision if on_card or precision != "mixed" else "fp32",
        "device": torch.cuda.get_device_name(where) if on_card else "cpu",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    if on_card:
        out["cuda"] = str(torch.version.cuda)
    for name in ("torch", *packages):
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out
