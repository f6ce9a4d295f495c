"""What names in a policy stand for. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from curation_plugins.policies import words
from curation_plugins.policies.flow import Class, Function, Graph, Module, Scope

Env = dict[str, int]


class Names:
    """Looks up the names of one scope; ``env`` holds what each local name is at this place."""

    def __init__(self, graph: Graph, modules: dict[str, Module], scope: Scope, owner: int) -> None:
        self.graph = graph
        self.modules = modules
        self.scope = scope
        self.owner = owner
        self.env: Env = {}
        self.conditions: list[int] = []
        self.function: Function | None = None
        """Whose body is walked."""
        self.for_effect: ast.Call | None = None
        """The call that the statement at hand consists of."""

    def new(
        self, label: str = "", kind: str = "", preds: Sequence[int] = (), at: ast.AST | None = None, text: str = ""
    ) -> int:
        return self.graph.new(label, kind, list(preds), owner=self.owner, line=getattr(at, "lineno", 0), text=text)

    def pick(self, values: Sequence[int], selectors: Sequence[int], at: ast.AST | None = None) -> int:
        if not selectors:
            return values[0] if len(values) == 1 else self.new(preds=values, at=at)
        node = self.new("index", "pick", values, at)
        self.graph.nodes[node].selectors = list(selectors)
        return node

    def guarded(self, value: int) -> int:
        """The value as it passes on under the conditions of this place."""
        return self.pick([value], self.conditions) if self.conditions else value

    def suspect(self, dotted: str, at: ast.AST) -> None:
        """Note a foreign name that runs what cannot be read, whether it is called here or only handed on."""
        if words.HIDDEN.match(dotted):
            self.graph.dynamic.append((self.owner, getattr(at, "lineno", 0)))

    def static(self, node: ast.expr) -> Function | Class | str | None:
        """What a dotted name stands for where that can be told: a function or class of the policy, or a foreign
        name."""
        if isinstance(node, ast.Name):
            return None if node.id in self.env else self._lookup(self.scope, node.id)
        if isinstance(node, ast.Attribute):
            base = self.static(node.value)
            if isinstance(base, str):
                return self._member(base, node.attr)
            if isinstance(base, Class):
                return base.methods.get(node.attr)
        return None

    def _lookup(self, scope: Scope | None, name: str) -> Function | Class | str | None:
        while scope is not None:
            if name in scope.functions:
                return scope.functions[name]
            if name in scope.classes:
                return scope.classes[name]
            if name in scope.imports:
                return self._imported(scope.imports[name])
            if name in scope.values:
                return None
            scope = scope.parent
        return f"builtins.{name}"

    def _imported(self, dotted: str) -> Function | Class | str | None:
        if dotted in self.modules:
            return dotted
        module, _, name = dotted.rpartition(".")
        return self._member(module, name) if module in self.modules else dotted

    def _member(self, base: str, name: str) -> Function | Class | str | None:
        if base not in self.modules:
            return f"{base}.{name}"
        if f"{base}.{name}" in self.modules:
            return f"{base}.{name}"
        scope = self.modules[base].scope
        if name in scope.functions:
            return scope.functions[name]
        if name in scope.classes:
            return scope.classes[name]
        return self._imported(scope.imports[name]) if name in scope.imports else None

    def name(self, node: ast.Name) -> int:
        if node.id in self.env and node.id not in self.scope.shared:
            return self.env[node.id]
        found = self._lookup(self.scope, node.id)
        if isinstance(found, Function):
            self.graph.called(self.owner, found)
            return self.new(kind="fn", at=node, text=str(found.index))
        if isinstance(found, str):
            self.suspect(found, node)
            return self.new(kind="module", at=node, text=found)
        return self._outer(node.id)

    def _outer(self, name: str) -> int:
        scope: Scope | None = self.scope
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            if name in scope.imports:
                module, _, member = scope.imports[name].rpartition(".")
                return self.module_value(module, member)
            scope = scope.parent
        return self._declared(name)

    def _declared(self, name: str) -> int:
        """A name that only functions assign, as a global."""
        scope = self.scope
        while scope.parent is not None:
            scope = scope.parent
        return scope.values.setdefault(name, self.new()) if name in scope.shared else self.new()

    def module_value(self, module: str, name: str) -> int:
        """A variable of another module of the policy."""
        if module not in self.modules:
            return self.new(kind="module", text=f"{module}.{name}")
        scope = self.modules[module].scope
        if name in scope.imports and name not in scope.values:
            inner, _, member = scope.imports[name].rpartition(".")
            if inner != module or member != name:
                return self.module_value(inner, member)
        return scope.values.setdefault(name, self.graph.new())
