"""Signals on a CUDA card: what they are on the CPU up to rounding, and the card is free afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.tasks import hardware
from curation_plugins.tasks.llava.signals import Signaller
from small_models import NAMES, make_assets

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card"),
]


def measured(name: str, signal: str, assets: Path) -> torch.Tensor:
    recipe = {"family": name, "steps": 5, "batch": 4, "lr": 2e-3, "max_tokens": 256, "train_tower": False}
    job: dict[str, Any] = {"name": signal, "rows": list(range(12)), "assets": str(assets)}
    job["recipe"] = {**recipe, "precision": "fp32"}
    return torch.tensor(Signaller().signal(job, lambda what, done: None)["values"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signal", ["answer-loss", "el2n", "embedding", "gradient"])
def test_signals_on_the_card_are_those_of_the_cpu(
    name: str, signal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = make_assets(name, tmp_path / name)
    before = torch.cuda.memory_allocated()
    card = measured(name, signal, assets)
    assert torch.cuda.memory_allocated() <= before + 2**20
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cpu"))
    torch.testing.assert_close(card, measured(name, signal, assets), rtol=1e-2, atol=1e-3)
