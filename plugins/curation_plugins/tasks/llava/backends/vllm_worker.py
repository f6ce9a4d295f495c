"""What vLLM's worker process is taught by us: taking over a checkpoint in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation_plugins.tasks.llava.backends.weights import tensors


class TakesWeights:
    """Mixed into vLLM's worker class (its option `worker_extension_cls`)."""

    reload_weights: Any

    def take_weights(self, folder: str) -> None:
        """Reads all weights from a checkpoint folder; vLLM lays them out anew and drops its encoder's results."""
        self.reload_weights(weights_iterator=tensors(Path(folder)))
