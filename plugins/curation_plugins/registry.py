"""Finds plugins and collects what they register."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

import pluggy

from curation_plugins import PROJECT, hookspecs
from curation_plugins.api import Agent, Engine, Scaffold, Task
from curation_plugins.errors import PluginBroken, UnknownName
from curation_sandbox.errors import CurationError

BUILTIN = "curation_plugins.builtin"
"""The module with what comes with the harness."""


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that was left out, and why; everything else still works."""

    plugin: str
    distribution: str
    reason: str


@dataclass(frozen=True)
class Provider:
    """Which installed distribution a registered object came from."""

    distribution: str
    version: str


class Kind(Generic[T]):
    """The registered objects of one kind, by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, T] = {}
        self._providers: dict[str, Provider] = {}

    def add(self, thing: T, provider: Provider) -> None:
        if thing.name in self._objects:
            raise PluginBroken(
                f"{self.kind} {thing.name!r} is registered twice: by {self._providers[thing.name].distribution}"
                f" and by {provider.distribution}",
                hint="Uninstall one of the two packages, or ask its author to rename.",
            )
        self._objects[thing.name] = thing
        self._providers[thing.name] = provider

    def get(self, name: str) -> T:
        """The object of that name.

        Raises:
            UnknownName: with the nearest names there are.
        """
        if name in self._objects:
            return self._objects[name]
        near = difflib.get_close_matches(name, self._objects, n=3, cutoff=0.4)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownName(
            f"no {self.kind} is called {name!r}.{meant}",
            hint=f"`harness {self.kind}s` lists all {len(self._objects)}.",
        )

    def provider(self, name: str) -> Provider:
        return self._providers[name]

    def __iter__(self) -> Iterator[T]:
        return iter(sorted(self._objects.values(), key=lambda thing: thing.name))

    def __len__(self) -> int:
        return len(self._objects)


@dataclass
class Registry:
    """Everything that is registered."""

    tasks: Kind[Task] = field(default_factory=lambda: Kind[Task]("task"))
    agents: Kind[Agent] = field(default_factory=lambda: Kind[Agent]("agent"))
    scaffolds: Kind[Scaffold] = field(default_factory=lambda: Kind[Scaffold]("scaffold"))
    engines: Kind[Engine] = field(default_factory=lambda: Kind[Engine]("engine"))
    broken: list[BrokenPlugin] = field(default_factory=list)


def build() -> Registry:
    """Load every installed plugin of the group ``curation_harness`` and collect what it registers.

    A plugin that cannot be imported or breaks a hook's rules is listed in ``Registry.broken``; so is each
    error raised by a hook, whose registrations before that stay.
    """
    registry = Registry()
    for distribution, entry in _entry_points():
        provider = Provider(distribution.metadata["Name"], distribution.version)
        try:
            _collect(entry.load(), entry.name, provider, registry)
        # a stranger's code may raise anything at import, and must not take the others down with it
        except (Exception, SystemExit) as error:
            registry.broken += [BrokenPlugin(entry.name, provider.distribution, reason) for reason in _reasons(error)]
    return registry


def _reasons(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [reason for inner in error.exceptions for reason in _reasons(inner)]
    return [str(error) if isinstance(error, CurationError) else f"{type(error).__name__}: {error}"]


def _entry_points() -> list[tuple[importlib.metadata.Distribution, importlib.metadata.EntryPoint]]:
    """(distribution, entry point) pairs, the built-in plugin first so that nobody can take its names."""
    found = {
        (entry.name, entry.value): (distribution, entry)
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group == PROJECT
    }
    return sorted(found.values(), key=lambda pair: (pair[1].value != BUILTIN, pair[1].name))


def _collect(plugin: object, name: str, provider: Provider, registry: Registry) -> None:
    """Register one plugin in a manager of its own: a broken one then spoils no other."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name=name)
        manager.check_pending()  # without it a misspelt hook name is silently ignored
    except pluggy.PluginValidationError as error:
        raise PluginBroken(f"plugin {name!r} of {provider.distribution}: {error}") from error
    failures: list[Exception] = []
    for hook, register in {
        "register_tasks": _adder(registry.tasks, Task, provider, failures),
        "register_agents": _adder(registry.agents, Agent, provider, failures),
        "register_scaffolds": _adder(registry.scaffolds, Scaffold, provider, failures),
        "register_engines": _adder(registry.engines, Engine, provider, failures),
    }.items():
        try:
            getattr(manager.hook, hook)(register=register)
        except Exception as error:  # a stranger's code: it is reported as broken, and the others work
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"plugin {name!r}", failures)


def _adder(kind: Kind[T], expected: type, provider: Provider, failures: list[Exception]) -> Callable[[object], None]:
    """What a hook gets as ``register``: one wrong object costs the others nothing."""

    def register(thing: object) -> None:
        try:
            if not isinstance(thing, expected):
                raise PluginBroken(
                    f"{provider.distribution} registered a {type(thing).__name__} as {kind.kind},"
                    f" which is no {expected.__name__}"
                )
            kind.add(cast(T, thing), provider)
        except PluginBroken as error:
            failures.append(error)

    return register
