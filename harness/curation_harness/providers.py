"""Model providers: where they are, what they speak, where their key is found, and what ``--model`` means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from curation_harness.errors import KeyMissing, ModelUnknown, OptionInvalid
from curation_harness.record.entry import Entry
from curation_harness.record.models import ModelUsed
from curation_plugins.api import Agent
from curation_sandbox.errors import CurationError
from curation_sandbox.gateway.desk import ModelPins, Upstream
from curation_sandbox.gateway.probe import ProbeResult, probe, subscription_token
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.judging import Property


class Provider(Entry):
    """A provider that ``--model`` can name."""

    name: str
    base_url: str | None
    """What comes before ``/v1``; None: ``--base-url`` must say it."""
    wires: tuple[Wire, ...]
    auth: Literal["x-api-key", "bearer"]
    key: str
    """Variable with the key; the same name with ``_FILE`` names a file that holds it."""
    key_needed: bool = True


PROVIDERS: Final = {
    provider.name: provider
    for provider in (
        Provider(
            name="anthropic",
            base_url="https://api.anthropic.com",
            wires=(Wire.MESSAGES,),
            auth="x-api-key",
            key="ANTHROPIC_API_KEY",
        ),
        Provider(
            name="openai",
            base_url="https://api.openai.com",
            wires=(Wire.RESPONSES, Wire.CHAT),
            auth="bearer",
            key="OPENAI_API_KEY",
        ),
        Provider(
            name="together",
            base_url="https://api.together.xyz",
            wires=(Wire.CHAT,),
            auth="bearer",
            key="TOGETHER_API_KEY",
        ),
        Provider(
            name="openai-compatible",
            base_url=None,
            wires=(Wire.CHAT, Wire.RESPONSES, Wire.MESSAGES),
            auth="bearer",
            key="OPENAI_COMPATIBLE_API_KEY",
            key_needed=False,
        ),
    )
}

_EXAMPLES: Final = (
    "For example --model anthropic/claude-sonnet-4-5, openai/gpt-5, together/moonshotai/Kimi-K2-Instruct, or"
    " openai-compatible/NAME --base-url http://127.0.0.1:8000 for a server of your own."
)


def choose(model: str | None, small: str | None, base_url: str | None, agent: Agent) -> ModelUsed | None:
    """What ``--model``, ``--small-model`` and ``--base-url`` mean for an agent; None: a run without a model.

    Raises:
        OptionInvalid: no such provider, the agent and the provider share no wire format, or options do not fit.
    """
    if model is None:
        if small or base_url:
            raise OptionInvalid("--small-model and --base-url say more about --model, which is not given")
        if agent.needs_model:
            raise OptionInvalid(f"agent {agent.name} needs a model: --model PROVIDER/NAME", hint=_EXAMPLES)
        return None
    if not agent.wires:
        raise OptionInvalid(f"agent {agent.name} uses no model", hint="Leave --model out.")
    provider, name = _split(model)
    wire = _shared_wire(agent, provider)
    return ModelUsed(
        provider=provider.name,
        name=name,
        small=_same_provider(small, provider) if small else name,
        wire=wire,
        base_url=_address(provider, base_url),
    )


def upstream(used: ModelUsed, environment: Mapping[str, str] = os.environ) -> Upstream:
    """The provider's address with its key, which is read now and kept in no record.

    Raises:
        KeyMissing: there is none, its file cannot be read, or it is a login of a subscription.
    """
    provider = PROVIDERS[used.provider]
    key = key_of(provider, environment)
    return Upstream(
        provider=provider.name,
        base_url=used.base_url,
        auth=provider.auth if key is not None else "none",
        key=key,
    )


def require_models(used: ModelUsed, found: ProbeResult) -> None:
    """Refuse names that the provider does not list; one that lists none is believed.

    Raises:
        ModelUnknown
    """
    if found.models is None:
        return
    for name in dict.fromkeys((used.name, used.small)):
        if name in found.models:
            continue
        near = difflib.get_close_matches(name, found.models, n=3, cutoff=0.4)
        some = ", ".join(near or sorted(found.models)[:5])
        raise ModelUnknown(
            f"provider {used.provider} ({used.base_url}) has no model {name!r}",
            hint=f"Did you mean {some}?" if near else f"Among its {len(found.models)} models: {some}.",
        )


def pins(used: ModelUsed, agent: Agent) -> ModelPins:
    """Which names the agent's program may ask for."""
    meant = {"main": used.name, "small": used.small}
    wires = tuple(wire for wire in agent.wires if wire in PROVIDERS[used.provider].wires)
    models = tuple(dict.fromkeys((used.name, used.small)))
    aliases = tuple((pattern, meant[which]) for pattern, which in agent.aliases)
    return ModelPins(models=models, aliases=aliases, wires=wires)


def key_of(provider: Provider, environment: Mapping[str, str] = os.environ) -> SecretStr | None:
    """The provider's key; None where it needs none and none is given.

    Raises:
        KeyMissing
    """
    text, origin = _key_text(provider, environment)
    if text is None:
        if not provider.key_needed:
            return None
        raise KeyMissing(
            f"no key for provider {provider.name}: the variable {provider.key} is not set",
            hint=f"export {provider.key}=… or {provider.key}_FILE=/path/of/a/file. It stays on the host: no container"
            " and no record gets it.",
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise KeyMissing(f"{origin} holds no key: a key is one word of printable characters")
    login = subscription_token(text)
    if login is not None:
        raise KeyMissing(f"{origin}: {login}", hint="Use a key of the provider's API, from its console.")
    return SecretStr(text)


def _key_text(provider: Provider, environment: Mapping[str, str]) -> tuple[str | None, str]:
    text = environment.get(provider.key, "").strip()
    if text:
        return text, provider.key
    file = environment.get(f"{provider.key}_FILE", "").strip()
    if not file:
        return None, provider.key
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip() or None, f"{provider.key}_FILE"
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"{provider.key}_FILE names {file}, which cannot be read: {error}") from None


def _split(model: str) -> tuple[Provider, str]:
    prefix, slash, name = model.partition("/")
    provider = PROVIDERS.get(prefix)
    if provider is None or not name:
        near = difflib.get_close_matches(prefix, PROVIDERS, n=1)
        meant = f" (did you mean {near[0]}?)" if near and provider is None else ""
        what = f"unknown provider {prefix!r}{meant}" if provider is None and slash else "it must be PROVIDER/NAME"
        raise OptionInvalid(f"--model {model!r}: {what}; providers: {', '.join(PROVIDERS)}", hint=_EXAMPLES)
    if not name.isascii() or not name.isprintable() or " " in name or len(name) > 200:
        raise OptionInvalid(f"--model {model!r}: a model's name has no spaces or control characters")
    return provider, name


def _same_provider(small: str, provider: Provider) -> str:
    other, name = _split(small)
    if other.name != provider.name:
        raise OptionInvalid(
            f"--small-model {small!r} is of {other.name}, --model of {provider.name}; a run has one provider"
        )
    return name


def _shared_wire(agent: Agent, provider: Provider) -> Wire:
    for wire in agent.wires:
        if wire in provider.wires:
            return wire
    able = [other.name for other in PROVIDERS.values() if set(other.wires) & set(agent.wires)]
    raise OptionInvalid(
        f"agent {agent.name} speaks the {' or '.join(agent.wires)} API, provider {provider.name} only"
        f" {' and '.join(provider.wires)}",
        hint=f"Providers for {agent.name}: {', '.join(able)}.",
    )


def _address(provider: Provider, base_url: str | None) -> str:
    given = base_url or provider.base_url
    if given is None:
        raise OptionInvalid(
            f"--model {provider.name}/… needs --base-url, the server's address before /v1",
            hint="Example: --base-url http://127.0.0.1:8000",
        )
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise OptionInvalid(f"--base-url {given!r} is no http(s) address", hint="Example: http://127.0.0.1:8000")
    if parts.username or parts.password:
        raise OptionInvalid(
            "--base-url holds a login, which would end up in the record",
            hint=f"Give the key in {provider.key} instead.",
        )
    return given.rstrip("/").removesuffix("/v1")


def examine(base_url: str | None = None, environment: Mapping[str, str] = os.environ) -> Iterator[Property]:
    """Which keys and models would work, for ``harness doctor``; no key is shown.

    Args:
        base_url: of a server of the user's own, to be asked too.
    """
    for provider in PROVIDERS.values():
        address = provider.base_url or base_url
        if address is not None:
            yield _examined(provider, address, environment)


def _examined(provider: Provider, address: str, environment: Mapping[str, str]) -> Property:
    name = f"models of {provider.name}"
    try:
        key = key_of(provider, environment)
        found = probe(
            Upstream(
                provider=provider.name,
                base_url=_address(provider, address),
                auth=provider.auth if key else "none",
                key=key,
            )
        )
    except CurationError as error:
        return Property(name=name, holds=False, required=False, detail=error.message, fix=error.hint or "")
    listed = "it lists no models" if found.models is None else _listing(found.models)
    used = f"the key in {provider.key} is good" if key else "it asks for no key"
    return Property(name=name, holds=True, required=False, detail=f"{address} answers, {used}; {listed}", fix="")


def _listing(models: Sequence[str]) -> str:
    shown = ", ".join(sorted(models)[:4])
    return f"{len(models)} models: {shown}{', …' if len(models) > 4 else ''}"
