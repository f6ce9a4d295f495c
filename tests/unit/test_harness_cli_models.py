"""Bad input about models: one clear message with the next step, before anything is made or started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_model import KEY, ScriptedModel
from scripted_moves import Say

SONNET = "anthropic/claude-sonnet-4-5"


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedModel]:
    with ScriptedModel([Say("done")]) as model:
        yield model


class Launcher:
    def __init__(self, folder: Path, base_url: str) -> None:
        self.runs = folder / "runs"
        self.base_url = base_url
        self.key: str | None = KEY

    def __call__(self, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        if self.key is not None:
            environment |= {"ANTHROPIC_API_KEY": self.key, "OPENAI_API_KEY": self.key}
        command = [sys.executable, "-m", "curation_harness", "launch", "--task", "probe", *options]
        return subprocess.run(
            [*command, "--run-dir", str(self.runs)],
            env={**environment, "CURATION_CACHE": str(self.runs.parent / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def refused(self, *options: str) -> str:
        """The message; nothing may have been made, and the key may not be in it."""
        done = self(*options)
        assert done.returncode not in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        assert not self.runs.exists() or not any(self.runs.iterdir())
        assert self.key is None or self.key not in done.stdout + done.stderr
        error = done.stderr[done.stderr.index("error: ") :]
        assert len(error.strip().splitlines()) >= 2, "no next step"
        return error


@pytest.fixture
def launch(tmp_path: Path, provider: ScriptedModel) -> Launcher:
    return Launcher(tmp_path, provider.base_url)


def test_an_unknown_agent(launch):
    assert "Did you mean claude-code" in launch.refused("--agent", "claude-cod", "--model", SONNET)


def test_an_agent_without_the_model_it_needs(launch):
    for agent in ("claude-code", "codex", "openhands"):
        assert "needs a model" in launch.refused("--agent", agent)


def test_an_unknown_model(launch):
    told = launch.refused("--agent", "claude-code", "--model", "anthropic/claude-9", "--base-url", launch.base_url)
    assert "has no model 'claude-9'" in told
    assert "claude-sonnet-4-5" in told


def test_a_missing_key(launch):
    launch.key = None
    told = launch.refused("--agent", "claude-code", "--model", SONNET, "--base-url", launch.base_url)
    assert "ANTHROPIC_API_KEY is not set" in told


def test_a_wrong_key(launch):
    launch.key = "sk-wrong-0123456789"
    told = launch.refused("--agent", "claude-code", "--model", SONNET, "--base-url", launch.base_url)
    assert "refuses the key" in told


def test_the_login_of_a_subscription(launch):
    launch.key = "sk-ant-oat01-0123456789"
    told = launch.refused("--agent", "claude-code", "--model", SONNET, "--base-url", launch.base_url)
    assert "subscriptions are not supported" in told


def test_an_unreachable_provider(launch):
    told = launch.refused("--agent", "claude-code", "--model", SONNET, "--base-url", "http://127.0.0.1:9")
    assert "cannot be reached" in told


def test_an_address_that_is_no_provider(launch, tmp_path):
    told = launch.refused(
        "--agent", "claude-code", "--model", SONNET, "--base-url", f"{launch.base_url}/elsewhere/v2"
    )
    assert "elsewhere" in told


def test_an_agent_and_a_provider_that_share_no_api(launch):
    assert "Providers for codex" in launch.refused("--agent", "codex", "--model", "together/x")


def test_a_wrong_option_of_the_agent(launch):
    told = launch.refused("--agent", "codex", "--model", "openai/gpt-5", "--agent-option", "verbositty=low")
    assert "did you mean 'verbosity'" in told


def test_a_limit_on_money_without_a_price(launch):
    told = launch.refused(
        "--agent",
        "openhands",
        "--model",
        "openai-compatible/scripted",
        "--base-url",
        launch.base_url,
        "--set",
        "budgets.model_dollars=1",
    )
    assert "--price scripted=INPUT/OUTPUT" in told


def test_a_dry_run_tells_whether_the_model_would_work(launch):
    options = ("--agent", "codex", "--model", "openai/gpt-5", "--dry-run", "--json", "--base-url")
    good = json.loads(launch(*options, launch.base_url).stdout)
    bad = json.loads(launch(*options, "http://127.0.0.1:9").stdout)
    checks = [{check["what"]: check["holds"] for check in plan["checks"]} for plan in (good, bad)]
    assert [check["model"] for check in checks] == [True, False]
    assert good["plan"]["model"]["name"] == "gpt-5"
    assert KEY not in json.dumps(good)


def test_an_agents_options_are_listed():
    shown = subprocess.run(
        [sys.executable, "-m", "curation_harness", "agents", "openhands", "--json"], capture_output=True, text=True
    )
    options = {option["name"]: option["meaning"] for option in json.loads(shown.stdout)["options"]}
    assert "max_iterations" in options
    assert all(options.values())
