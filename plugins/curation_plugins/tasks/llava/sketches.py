"""Projected gradients of single rows: short vectors whose inner products are nearly those of the gradients.

The gradient of a linear layer for one row is the sum over positions of (gradient at its output) x (its input). Both
sides are projected with random signs before the product, so that no gradient is ever written out (the two-sided
projection of LoGra: Choe et al. 2024, arXiv:2405.13954; random signs: LESS, Xia et al. 2024, arXiv:2402.04333).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

SEED = 0
"""Of all signs: the same in every request, so that sketches of different rows, attempts and runs compare."""
SIDE = 16
"""Signs on each side; a sketch has SIDE * SIDE numbers."""


class Sketcher:
    """Collects, for one forward and backward pass, the sketches of the rows of a batch.

    Used as a context manager around both passes. All linear layers of the language model but the output layer count;
    each has signs of its own, and their sketches add up.
    """

    def __init__(self, model: Any, rows: int) -> None:
        self._model = model
        self._layers = [module for module in model.get_decoder().modules() if isinstance(module, torch.nn.Linear)]
        self.sum = torch.zeros(rows, SIDE, SIDE)
        self._handles: list[Any] = []
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def __enter__(self) -> Sketcher:
        for parameter in self._trained:
            parameter.requires_grad_(False)  # only the activations need gradients
        embed = self._model.get_input_embeddings()
        self._handles.append(embed.register_forward_hook(lambda module, given, out: out.requires_grad_()))
        for number, layer in enumerate(self._layers):
            self._handles.append(layer.register_forward_hook(self._watch(number, layer)))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        for parameter in self._trained:
            parameter.requires_grad_(True)

    def _watch(self, number: int, layer: torch.nn.Linear) -> Callable[..., None]:
        left, right = signs(number, 0, layer.out_features), signs(number, 1, layer.in_features)

        def forward(module: Any, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            inner = given[0].detach() @ right.to(out)

            def backward(gradient: torch.Tensor) -> None:
                both = torch.einsum("rto,rti->roi", gradient @ left.to(gradient), inner)
                self.sum += both.to(self.sum)

            out.register_hook(backward)  # type: ignore[no-untyped-call]

        return forward


def signs(number: int, side: int, width: int) -> torch.Tensor:
    """Random signs (Rademacher) over the root of ``SIDE``, shape (width, SIDE), of one side of one layer."""
    source = torch.Generator().manual_seed((SEED * 100_003 + number) * 2 + side)
    drawn: torch.Tensor = (torch.randint(0, 2, (width, SIDE), generator=source) * 2 - 1).float() / SIDE**0.5
    return drawn


def row_losses(losses: torch.Tensor, owners: torch.Tensor, rows: int) -> torch.Tensor:
    """Sum over the rows of each row's mean loss: its gradient holds every row's own gradient, unmixed."""
    count = torch.bincount(owners, minlength=rows).clamp_min(1).to(losses)
    total: torch.Tensor = (losses / count[owners]).sum()
    return total


def as_tuples(sketches: torch.Tensor, supervised: Sequence[bool]) -> list[tuple[float, ...] | None]:
    """One vector of SIDE * SIDE numbers a row; none for a row without supervised tokens."""
    return [
        tuple(float(f"{value:.6g}") for value in sketch.flatten().tolist()) if any_ else None
        for sketch, any_ in zip(sketches, supervised, strict=True)
    ]
