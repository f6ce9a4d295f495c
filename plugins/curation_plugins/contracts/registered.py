"""The contract of all that is installed, together."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from curation_plugins import registry
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_plugins.contracts.tasks import check_task_words

HEAVY: Final = ("torch", "transformers", "docker", "vllm", "open_clip", "matplotlib", "sklearn", "pyarrow")
"""What importing or constructing a plugin must not load: every command builds the registry."""


def check_registry() -> registry.Registry:
    """Check that every installed plugin loads, cheaply, and that what it registers is well named."""
    built = registry.build()
    broken = "; ".join(f"{one.plugin} ({one.distribution}): {one.reason}" for one in built.broken)
    require(not broken, f"plugins that could not be loaded: {broken}")
    for task in built.tasks:
        check_task_words(task)
    for kind in (built.agents, built.scaffolds, built.engines):
        for thing in kind:
            require_name(kind.kind, thing.name)
            require_summary(kind.kind, thing.name, thing.summary)
    loaded = _loaded_by_building()
    require(not loaded, f"building the registry imports {', '.join(loaded)}; import it in a worker's module instead")
    return built


def _loaded_by_building() -> list[str]:
    """Heavy modules that a fresh interpreter has loaded once the registry is built."""
    code = (
        "import sys; from curation_plugins import registry; registry.build();"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()
