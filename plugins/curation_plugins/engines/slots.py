"""What this machine can work with at one time: a slot is one GPU (or several), or a share of the processors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import THREAD_VARIABLES

SLOTS_VARIABLE: Final = "CURATION_SLOTS"
"""Names the slots instead of looking for them, e.g. ``gpu-0,gpu-1`` or ``cpu-0``; ``gpu-0+1+2+3`` is one slot of four
GPUs."""

CPU_SLOT_THREADS = 2

_NAME: Final = re.compile(r"^(cpu-[A-Za-z0-9-]+|gpu-[A-Za-z0-9-]+(\+[A-Za-z0-9-]+)*)$")
_LONGEST: Final = 200
"""Characters of a name: a slot's lock is a file called after it."""


@dataclass(frozen=True)
class Slot:
    name: str
    """``gpu-<id>`` as the driver names the GPU, with ``+<id>`` for each further one, or ``cpu-<n>``."""
    threads: int
    """Processor threads that a worker on it may use."""

    @property
    def cards(self) -> int:
        """GPUs that a worker on it sees."""
        return self.name.count("+") + 1 if self.name.startswith("gpu-") else 0

    def environment(self) -> dict[str, str]:
        """What a worker on this slot has in its environment."""
        kind, _, name = self.name.partition("-")
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        if kind == "gpu":
            # without the order, CUDA numbers GPUs by speed and nvidia-smi by bus
            return {**threads, "CUDA_VISIBLE_DEVICES": name.replace("+", ","), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return {**threads, "CUDA_VISIBLE_DEVICES": ""}


def discover(environment: Mapping[str, str] = os.environ) -> tuple[Slot, ...]:
    """The slots of this machine: those named by ``CURATION_SLOTS``; else one for each visible NVIDIA GPU;
    else one for every two processors.

    Raises:
        ConfigInvalid: ``CURATION_SLOTS`` names what no slot can be called.
    """
    processors = len(os.sched_getaffinity(0))
    named = [name.strip() for name in environment.get(SLOTS_VARIABLE, "").split(",") if name.strip()]
    wrong = [name for name in named if not _NAME.match(name) or len(name) > _LONGEST]
    if wrong or len(set(named)) < len(named):
        raise ConfigInvalid(
            f"{SLOTS_VARIABLE}={environment[SLOTS_VARIABLE]!r} is no list of distinct slots",
            hint="Example: CURATION_SLOTS=gpu-0,gpu-1 or CURATION_SLOTS=cpu-0",
        )
    names = named or [f"gpu-{gpu}" for gpu in _gpus(environment)]
    if not names:
        return tuple(
            Slot(f"cpu-{number}", min(CPU_SLOT_THREADS, processors))
            for number in range(max(1, processors // CPU_SLOT_THREADS))
        )
    return tuple(Slot(name, max(1, processors // len(names))) for name in names)


def _gpus(environment: Mapping[str, str]) -> list[str]:
    """Ids of the visible GPUs, without importing torch: that would take seconds and a CUDA context."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if visible in ("", "-1") or program is None:
        return []
    query = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # the program is there and the driver is not
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return listed.split()
