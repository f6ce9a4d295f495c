"""The real programs in their containers; what needs none of them is marked otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_bench import PROGRAMS, Program

from curation_sandbox.engine import connect
from curation_sandbox.errors import EngineUnavailable

WITHOUT_CONTAINERS = "test_agents_scripted_model.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.path.name != WITHOUT_CONTAINERS:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skipped only where no engine answers; a missing image is a failure."""
    try:
        connect().close()
    except EngineUnavailable as error:
        pytest.skip(f"no Docker engine: {error.message}")


@pytest.fixture(scope="session", params=PROGRAMS, ids=str)
def program(request: pytest.FixtureRequest, engine: None) -> Program:
    return request.param
