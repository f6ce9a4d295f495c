"""PyPI's torchvision beside a CPU torch: importable from a process of its own, and nothing of it faked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curation_plugins.tasks import torchvision_cpu

PROGRAM = """
import importlib.util, sys
import curation_plugins.tasks
assert "torch" not in sys.modules, "installing must cost nothing"
# a second copy of the file, as tests/vllm_venv.sh puts one beside the packages
spec = importlib.util.spec_from_file_location("copied", sys.argv[1])
copy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(copy)
copy.install()
curation_plugins.tasks.torchvision_cpu.install()
from transformers import LlavaForConditionalGeneration
import open_clip, torch, torchvision
from torchvision.transforms import RandomResizedCrop
boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
try:
    torchvision.ops.nms(boxes, torch.ones(1), 0.5)
except (RuntimeError, NotImplementedError):
    print("not faked")
"""


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA: nothing is done")
def test_torchvision_and_what_uses_it_can_be_imported_in_a_fresh_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(torchvision_cpu.__file__))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "not faked"
