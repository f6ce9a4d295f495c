"""What every plugin must keep to, as functions for its author's tests::

    from curation_plugins.testing import check_task

    def test_contract(tmp_path):
        check_task(MyTask(...), tmp_path)

Each raises AssertionError with what is wrong and why it matters. The harness's own tests run them over every
plugin that is installed, built-in or not.
"""

from __future__ import annotations

from curation_plugins.contracts.agents import check_agent
from curation_plugins.contracts.engines import check_engine
from curation_plugins.contracts.registered import check_registry
from curation_plugins.contracts.scaffolds import check_scaffold
from curation_plugins.contracts.task_files import check_task_files
from curation_plugins.contracts.task_training import check_task_training
from curation_plugins.contracts.tasks import check_task

__all__ = [
    "check_agent",
    "check_engine",
    "check_registry",
    "check_scaffold",
    "check_task",
    "check_task_files",
    "check_task_training",
]
