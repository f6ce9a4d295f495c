"""Several cards that share weights, gradients and optimiser (FSDP), one process each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.tuning import Tuned


@dataclass(frozen=True)
class Group:
    """The processes that train one model together; one of them, alone, is a group too."""

    rank: int
    """Which this process is, from 0."""
    size: int
    """How many there are."""
    mesh: DeviceMesh | None = None
    """The group's devices, one a process, to which the weights go as they are shared; none where there is nobody to
    share them with."""

    @staticmethod
    def alone() -> Group:
        """This process only."""
        return Group(rank=0, size=1)

    def share(self, student: Any, tuned: Tuned, recipe: Recipe) -> Any:
        """Shards the student's weights over the group: each block of the language model, and the rest together."""
        if self.size == 1:
            return student
        half = recipe.precision == "mixed" and self.mesh is not None and self.mesh.device_type == "cuda"
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        for block in tuned.family.language(tuned.model).layers:
            fully_shard(block, mesh=self.mesh, mp_policy=policy)
        return fully_shard(student, mesh=self.mesh, mp_policy=policy)

    def backward(self, share: torch.Tensor) -> None:
        """Adds this process' part of the step's gradient; the group's mean of them is taken, hence the factor."""
        (share * self.size).backward()  # type: ignore[no-untyped-call]

    def sum(self, loss: torch.Tensor) -> float:
        """Over the group."""
        if self.size > 1:
            dist.all_reduce(loss)
        return loss.item()
