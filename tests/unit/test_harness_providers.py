"""What ``--model`` means, where keys come from, and that no key shows anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness import providers
from curation_harness.errors import KeyMissing, ModelUnknown, OptionInvalid
from curation_harness.record.models import ModelUsed
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.gateway.probe import ProbeResult
from curation_sandbox.gateway.wires import Wire

KEY = "sk-test-0123456789abcdef"


class Speaker(Agent):
    name = "speaker"
    summary = "speaks two formats"
    wires = (Wire.MESSAGES, Wire.CHAT)
    needs_model = True
    aliases = (("claude-*haiku*", "small"), ("claude-*", "main"))

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("true",))


class Plain(Speaker):
    name = "plain"
    wires = ()
    needs_model = False


@pytest.mark.parametrize(
    ("model", "provider", "name", "wire"),
    [
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", Wire.MESSAGES),
        ("openai/gpt-5", "openai", "gpt-5", Wire.CHAT),
        ("together/moonshotai/Kimi-K2-Instruct", "together", "moonshotai/Kimi-K2-Instruct", Wire.CHAT),
    ],
)
def test_a_prefix_names_the_provider_and_the_rest_is_the_model(model, provider, name, wire):
    used = providers.choose(model, None, None, Speaker())
    assert used is not None
    assert (used.provider, used.name, used.small, used.wire) == (provider, name, name, wire)


def test_the_first_wire_of_the_agent_that_the_provider_speaks_is_taken():
    used = providers.choose("openai-compatible/m", None, "http://127.0.0.1:8000/v1/", Speaker())
    assert used is not None
    assert used.wire == Wire.MESSAGES
    assert used.base_url == "http://127.0.0.1:8000"


def test_an_agent_that_uses_no_model_refuses_one_before_any_key_is_looked_for():
    with pytest.raises(OptionInvalid, match="agent plain uses no model"):
        providers.choose("anthropic/claude-sonnet-4-5", None, None, Plain())


def test_only_the_apis_that_the_program_speaks_are_open():
    used = providers.choose("openai-compatible/m", None, "http://127.0.0.1:8000/v1/", Speaker())
    assert used is not None
    pins = providers.pins(used, Speaker())
    assert pins.speaks(used.wire)
    assert {wire for wire in Wire if pins.speaks(wire)} == set(Speaker.wires)


@pytest.mark.parametrize(
    ("model", "small", "base_url", "said"),
    [
        (None, None, None, "needs a model"),
        (None, "anthropic/x", None, "--model, which is not given"),
        ("antropic/claude", None, None, "did you mean anthropic"),
        ("claude-sonnet-4-5", None, None, "PROVIDER/NAME"),
        ("anthropic/", None, None, "PROVIDER/NAME"),
        ("anthropic/a b", None, None, "no spaces"),
        ("anthropic/a\r\nx-api-key: y", None, None, "no spaces or control"),
        ("openai-compatible/m", None, None, "needs --base-url"),
        ("anthropic/m", "openai/n", None, "one provider"),
        ("anthropic/m", None, "ftp://x", "no http"),
        ("anthropic/m", None, "http://user:secret@host", "holds a login"),
        ("anthropic/m", None, "http://host/?key=1", "no http"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_what_would_be_right(model, small, base_url, said):
    with pytest.raises(OptionInvalid, match=said) as caught:
        providers.choose(model, small, base_url, Speaker())
    assert "secret" not in str(caught.value)


def test_an_agent_and_a_provider_without_a_common_wire_are_refused_with_providers_that_fit():
    class Messages(Speaker):
        wires = (Wire.MESSAGES,)

    with pytest.raises(OptionInvalid, match="speaks the messages API") as caught:
        providers.choose("together/m", None, None, Messages())
    assert caught.value.hint == "Providers for speaker: anthropic, openai-compatible."


def used(provider: str = "anthropic", name: str = "claude-x", small: str = "claude-y") -> ModelUsed:
    return ModelUsed(provider=provider, name=name, small=small, wire=Wire.MESSAGES, base_url="https://x")


def test_the_key_comes_from_the_environment_or_from_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    for environment in ({"ANTHROPIC_API_KEY": KEY}, {"ANTHROPIC_API_KEY_FILE": str(file)}):
        upstream = providers.upstream(used(), environment)
        assert upstream.key is not None
        assert upstream.key.get_secret_value() == KEY
        assert KEY not in repr(upstream)
        assert KEY not in upstream.model_dump_json()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"ANTHROPIC_API_KEY": "  "},
        {"ANTHROPIC_API_KEY_FILE": "/nonexistent/key"},
        {"ANTHROPIC_API_KEY": f"{KEY}\nx"},
        {"ANTHROPIC_API_KEY": f"{KEY}\x00"},
        {"ANTHROPIC_API_KEY": f"sk-ant-oat01-{KEY}"},
    ],
)
def test_a_key_that_cannot_be_used_is_told_without_showing_it(environment):
    with pytest.raises(KeyMissing) as caught:
        providers.upstream(used(), environment)
    assert KEY not in str(caught.value)
    assert "ANTHROPIC_API_KEY" in str(caught.value)


def test_a_server_of_ones_own_needs_no_key():
    upstream = providers.upstream(used("openai-compatible"), {})
    assert upstream.auth == "none"
    assert upstream.key is None


def test_names_that_the_program_asks_for_anyway_mean_the_runs_models():
    pins = providers.pins(used(), Speaker())
    assert pins.resolve("claude-x") == "claude-x"
    assert pins.resolve("claude-haiku-4-5-20251001") == "claude-y"
    assert pins.resolve("claude-opus-9") == "claude-x"
    assert pins.resolve("gpt-5") is None


def test_a_model_the_provider_does_not_list_is_refused_with_near_names():
    found = ProbeResult(models=("claude-xx", "claude-z"))
    with pytest.raises(ModelUnknown, match="no model 'claude-x'") as caught:
        providers.require_models(used(), found)
    assert "claude-xx" in str(caught.value.hint)
    providers.require_models(used(), ProbeResult(models=None))
    providers.require_models(used(), ProbeResult(models=("claude-x", "claude-y")))


def test_doctor_tells_of_missing_keys_and_shows_none():
    told = list(providers.examine(environment={"OPENAI_API_KEY": f"sk-ant-oat01-{KEY}"}))
    assert [one.name for one in told] == ["models of anthropic", "models of openai", "models of together"]
    assert not any(one.holds or one.required for one in told)
    assert "ANTHROPIC_API_KEY" in told[0].detail
    assert KEY not in "".join(one.model_dump_json() for one in told)
