"""The data flow of a policy: a graph of operations, and what is defined where. Standard library only.

Every value that the code computes is a node; its ``preds`` are what it is computed from. Names are gone: a
variable is whatever node it holds at that place. A function is looked at once; its parameters join what all
callers pass, its result goes to all of them, so splitting a function or moving it changes nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import Final

from curation_plugins.policies import words

MAX_NODES: Final = 150_000
"""Of the graph of one policy; no honest megabyte of code comes near it."""


MAX_SPECIAL: Final = 100
"""Functions looked at once more for other constant arguments."""


class TooComplex(Exception):
    """The policy makes a graph larger than is looked at."""


@dataclass(slots=True)
class Node:
    """One value.

    ``label``: the operation; "" for what only passes values on.
    ``kind``: "" | const | read | key | field | cut | pick | fn | class | module | sink.
    ``text``: of a const its value, of a key the column, of a module or call the dotted name.
    ``selectors``: what decides which of ``preds`` passes (kind ``pick``).
    ``weak``: what it depends on without holding it; counts for liveness only.
    """

    label: str
    kind: str
    preds: list[int]
    selectors: list[int]
    weak: list[int]
    owner: int
    line: int
    text: str = ""
    constant: str = ""
    """For comparisons: the type of the constant it is compared with."""


@dataclass(slots=True, eq=False)
class Scope:
    """Names of a module or function."""

    module: Module
    parent: Scope | None
    values: dict[str, int] = field(default_factory=dict)
    """Name → node that joins all that is ever assigned to it, for readers from other scopes."""
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    """Names that functions within assign (global, nonlocal): they hold the join of all, at every place."""


@dataclass(slots=True, eq=False)
class Module:
    file: str
    name: str
    """Dotted, as it is imported from within the policy."""
    tree: ast.Module
    scope: Scope = field(init=False)
    imported: set[str] = field(default_factory=set)
    """Modules of the policy that it imports."""

    def __post_init__(self) -> None:
        self.scope = Scope(self, None)


@dataclass(slots=True, eq=False)
class Function:
    index: int
    file: str
    qualname: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    order: list[str]
    """Names of the parameters that take positional arguments."""
    params: dict[str, int]
    extra: int
    """Joins what ``*args`` and ``**kwargs`` take."""
    result: int
    inner: Scope | None = None
    """Its own names."""
    is_property: bool = False
    declared: frozenset[str] = frozenset()
    """Names it declares global or nonlocal."""
    calls: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Class:
    name: str
    methods: dict[str, Function] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    """Annotated names in the body, in order: what a dataclass takes."""


class Graph:
    """Nodes, and the functions that they belong to. ``owner`` -1 - i stands for module i."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.functions: list[Function] = []
        self.fields: dict[str, int] = {}
        """Attribute name → node that joins all that is ever stored under it."""
        self.methods: dict[str, list[Function]] = {}
        self.module_calls: dict[int, set[int]] = {}
        self.deferred: list[tuple[int, list[int], dict[str, int], int, int]] = []
        """Calls of values: (callee, positional, by name, result, owner); functions among them are linked at the
        end."""
        self.dynamic: list[tuple[int, int]] = []
        """(owner, line) of what runs code that cannot be read."""
        self.changes: list[tuple[int, list[int]]] = []
        """Objects changed in place: (object, what it takes in)."""
        self.moves: list[int] = []
        """Calls that put a file in another's place."""
        self.pending: list[Function] = []
        """Functions to be looked at once more, for other constants."""
        self._special: dict[tuple[int, tuple[str, ...]], Function] = {}

    def new(
        self,
        label: str = "",
        kind: str = "",
        preds: list[int] | None = None,
        *,
        selectors: list[int] | None = None,
        weak: list[int] | None = None,
        owner: int = -1,
        line: int = 0,
        text: str = "",
    ) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise TooComplex
        self.nodes.append(Node(label, kind, preds or [], selectors or [], weak or [], owner, line, text))
        return len(self.nodes) - 1

    def field(self, name: str) -> int:
        if name not in self.fields:
            self.fields[name] = self.new()
        return self.fields[name]

    def special(self, function: Function, values: list[int], named: dict[str, int]) -> Function:
        """The function for these constant texts among its arguments: ``column(pool, "loss")`` and ``column(pool,
        "length")`` are to be told apart. Without such, or with too many, the function as it is."""
        given = [*values, *(value for _, value in sorted(named.items()))]
        texts = tuple(self.nodes[value].text if self.nodes[value].kind == "const" else "" for value in given)
        if not any(text and not text[:1].isdigit() and text not in words.PLAIN for text in texts):
            return function
        key = (function.index, (*texts, *sorted(named)))
        if key not in self._special:
            if len(self._special) >= MAX_SPECIAL:
                return function
            made = replace(
                function,
                params={name: self.new(owner=function.index) for name in function.params},
                extra=self.new(owner=function.index),
                result=self.new(owner=function.index),
            )
            # what a default or a foreign caller gives reaches it too
            for name, value in made.params.items():
                self.nodes[value].weak.append(function.params[name])
            self._special[key] = made
            self.pending.append(made)
        return self._special[key]

    def called(self, caller: int, function: Function) -> None:
        if caller >= 0:
            self.functions[caller].calls.add(function.index)
        else:
            self.module_calls.setdefault(caller, set()).add(function.index)

    def link(self, caller: int, function: Function, values: list[int], named: dict[str, int]) -> int:
        """Pass arguments to a function; returns the node of its result."""
        self.called(caller, function)
        for place, value in enumerate(values):
            to = function.params[function.order[place]] if place < len(function.order) else function.extra
            self._add(to, value)
        for name, value in named.items():
            self._add(function.params.get(name, function.extra), value)
        return function.result

    def _add(self, to: int, value: int) -> None:
        if value not in self.nodes[to].preds:
            self.nodes[to].preds.append(value)

    def link_deferred(self) -> None:
        """Link calls of values that turn out to be functions of the policy; a few rounds, since links open others."""
        for _ in range(3):
            for callee, values, named, result, owner in self.deferred:
                functions = self._functions_in(callee)
                for function in functions:
                    self._add(result, self.link(owner, function, values, named))
                if not functions:  # a foreign object: what it gives is made of what it gets
                    for value in (*values, *named.values()):
                        self._add(result, value)

    def link_changes(self) -> None:
        """An object changed in place is changed for all that hold it: what it takes in goes to where it came from."""
        found: list[tuple[int, int]] = []
        for held, values in self.changes:
            seen, todo = {held}, [held]
            while todo and len(seen) < 40:
                place = todo.pop()
                node = self.nodes[place]
                if node.label and node.kind != "pick":
                    # what was computed is changed later: it is another value then, and hangs on the change
                    node.weak += [value for value in values if value not in node.weak]
                    continue
                before = [pred for pred in node.preds if self.nodes[pred].kind not in ("const", "module", "fn")]
                # zeros(len(rows)), and what was loaded: not the path that it was loaded from
                made_here = node.kind == "read" or all(self.nodes[pred].label == "len" for pred in before)
                found += [(place, value) for value in values if made_here and value != place]
                if made_here:
                    continue
                todo += [pred for pred in before if pred not in seen]
                seen.update(before)
        for place, value in found:  # at the end: a change is no source that the next one goes to
            self._add(place, value)

    def link_handed(self, call: int, values: list[int], owner: int) -> None:
        """A function handed to a foreign one (``sorted(key=f)``) gets the other arguments, and gives to the
        result."""
        for value in values:
            if self.nodes[value].kind == "fn":
                function = self.functions[int(self.nodes[value].text)]
                others = [other for other in values if other != value]
                for name in function.order:
                    for other in others:
                        self._add(function.params[name], other)
                self.called(owner, function)
                self._add(call, function.result)

    def _functions_in(self, start: int) -> list[Function]:
        """The functions a value may be, through whatever only passes it on."""
        found, seen, todo = [], {start}, [start]
        while todo and len(seen) < 200:
            node = self.nodes[todo.pop()]
            if node.kind == "fn":
                found.append(self.functions[int(node.text)])
            elif not node.label or node.label == "sub":
                for pred in node.preds:
                    if pred not in seen:
                        seen.add(pred)
                        todo.append(pred)
        return found
