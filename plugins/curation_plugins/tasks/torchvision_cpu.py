"""Makes PyPI's torchvision importable beside a CPU build of torch. Standard library only; also copied as it is.

PyPI has one build of torchvision for Linux, the CUDA one. Beside a torch without CUDA its compiled part does not
load, and then its import fails: it describes two operators to torch that were never declared (seen with 0.28.0,
``torchvision/_meta_registrations.py``). transformers, which uses torchvision where it is installed, breaks with it.
Here those two are declared, without any implementation: the Python parts work, which is all that reading images
needs, and calling an operator still fails. The clean way is the CPU build from PyTorch's own package index; with
that, and with any torch that has CUDA, nothing is done here.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_KEPT: list[Any] = []
"""What is declared lasts as long as the object it was declared through."""


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds nothing, and acts when torchvision is looked for: torch is not imported a moment sooner than that."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _declare()
        return None


def install() -> None:
    """Do it when torchvision is imported, whoever imports it. Costs nothing until then; a second call is none."""
    # by name: a copy of this file may have come first, and what is declared twice is an error
    known = any(type(finder).__name__ == TorchvisionFinder.__name__ for finder in sys.meta_path)
    if "torchvision" not in sys.modules and not known:
        sys.meta_path.insert(0, TorchvisionFinder())


def _declare() -> None:
    found = PathFinder.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return
    import torch

    loading: Any = torch.ops
    declaring: Any = torch.library

    if torch.version.cuda is not None:
        return
    for compiled in Path(found.submodule_search_locations[0]).glob("_C*.so"):
        try:
            loading.load_library(str(compiled))
            return
        except OSError:  # it wants CUDA's libraries
            continue
    library = declaring.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)
