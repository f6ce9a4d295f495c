"""Calls in a policy: of its own functions, of foreign ones, of values. Standard library only."""

from __future__ import annotations

import ast

from curation_plugins.policies import words
from curation_plugins.policies.expressions import Expressions
from curation_plugins.policies.flow import Class, Function

_NOT_ASKED = ("__init__", "__call__", "__repr__", "__str__", "__exit__", "__new__", "__del__")
"""Methods that Python calls by itself, and that say nothing of the instance's value; or that are looked at apart."""


class Calls(Expressions):
    def _lambda(self, node: ast.Lambda) -> int:
        function = self.lambda_function(node)
        self.graph.called(self.owner, function)
        return self.new(kind="fn", at=node, text=str(function.index))

    def lambda_function(self, node: ast.Lambda) -> Function:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        place = len(self.graph.functions)
        function = Function(
            index=place,
            file=self.scope.module.file,
            qualname=f"<lambda {node.lineno}:{node.col_offset}>",
            node=node,
            scope=self.scope,
            order=[argument.arg for argument in arguments],
            params={argument.arg: self.graph.new(owner=place) for argument in arguments},
            extra=self.graph.new(owner=place),
            result=self.graph.new(owner=place),
        )
        self.graph.functions.append(function)
        outer, owner = dict(self.env), self.owner
        self.env = {**outer, **function.params}
        self.owner = place
        self.graph.nodes[function.result].preds.append(self.value(node.body))
        self.env, self.owner = outer, owner
        return function

    def _call(self, node: ast.Call) -> int:
        found = self.static(node.func)
        values = [self.value(part.value if isinstance(part, ast.Starred) else part) for part in node.args]
        named = {part.arg: self.value(part.value) for part in node.keywords if part.arg is not None}
        spread = [self.value(part.value) for part in node.keywords if part.arg is None]
        if isinstance(found, Function):
            return self.new(preds=[self._pass(found, node, values, named, spread)], at=node)
        if isinstance(found, Class):
            return self._construct(found, node, values, named, spread)
        if isinstance(found, str):
            return self._foreign(found, node, [*values, *spread], named)
        if isinstance(node.func, ast.Attribute):
            return self._method(node.func, node, values, named, spread)
        callee = self.value(node.func)
        result = self.new(preds=[callee], at=node)
        self.graph.deferred.append((callee, [*values, *spread], named, result, self.owner))
        self.graph.nodes[result].weak.extend([*values, *named.values()])
        return result

    def _pass(
        self, function: Function, node: ast.Call, values: list[int], named: dict[str, int], spread: list[int]
    ) -> int:
        starred = any(isinstance(part, ast.Starred) for part in node.args) or bool(spread)
        if not starred and not isinstance(function.node, ast.Lambda):
            function = self.graph.special(function, values, named)
        if node is self.for_effect:  # what it changes, it changes under the conditions of this place
            values = [self.guarded(value) for value in values]
            named = {name: self.guarded(value) for name, value in named.items()}
        result = self.graph.link(self.owner, function, values, named)
        for param in {*function.params.values(), function.extra}:  # whether it is called at all hangs on them
            self.graph.nodes[param].weak.extend(self.conditions)
        if starred:
            for name in function.order:
                self.graph.nodes[function.params[name]].preds.extend([*values, *spread])
        return result

    def _construct(
        self, found: Class, node: ast.Call, values: list[int], named: dict[str, int], spread: list[int]
    ) -> int:
        """An instance: its fields hold what it is made from; the instance itself is only tied to it."""
        made = self.new(kind="instance", at=node, text=found.name)
        if "__init__" in found.methods:
            self._pass(found.methods["__init__"], node, [made, *values], named, spread)
        else:
            for name, value in [*zip(found.fields, values, strict=False), *named.items()]:
                self.graph.nodes[self.graph.field(name)].preds.append(value)
        for name, method in found.methods.items():
            if name == "__post_init__":
                self._pass(method, node, [made], {}, [])
            elif name.startswith("__") and name.endswith("__") and name not in _NOT_ASKED:
                # iterated, compared or indexed, an instance gives what these give
                given = self._pass(method, node, [made] * len(method.order), {}, [])
                self.graph.nodes[made].preds.append(given)
        if "__call__" in found.methods:
            call = found.methods["__call__"]
            self.graph.nodes[made].preds.append(self.new(kind="fn", at=node, text=str(call.index)))
        self.graph.nodes[made].weak.extend([*values, *named.values(), *spread])
        return made

    def _method(
        self, func: ast.Attribute, node: ast.Call, values: list[int], named: dict[str, int], spread: list[int]
    ) -> int:
        base, name = self.value(func.value), func.attr
        preds = []
        for method in self.graph.methods.get(name, ()):
            preds.append(self._pass(method, node, [base, *values], named, spread))
        if name in self.graph.fields:
            callee, result = self.graph.fields[name], self.new(at=node)
            self.graph.deferred.append((callee, [*values, *spread], named, result, self.owner))
            preds.append(result)
        if preds:
            return self.new(kind="field", preds=preds, at=node)
        if name in words.GROWS:
            self.grow(func.value, [self.guarded(value) for value in [*values, *named.values()]])
            if name not in ("pop", "popleft", "setdefault"):
                return self.new(at=node)
            return self.new(preds=[base, *values], at=node)
        if name == "sort":
            made = self._operation("sort", node, [base, *values], named)
            if isinstance(func.value, ast.Name) and func.value.id in self.env:
                self.assign(func.value.id, self.guarded(made))
            else:
                self.graph.changes.append((base, [made]))
            return made
        if name == "shuffle" and node.args:
            made = self._operation("draw", node, [base, *values], named)
            if isinstance(node.args[0], ast.Name):
                self.assign(node.args[0].id, made)
            self.graph.changes.append((values[0], [made]))
            return made
        if name == "get" and node.args and isinstance(node.args[0], ast.Constant):
            return self.new(kind="key", preds=[base, *values[1:]], at=node, text=str(node.args[0].value))
        made = self._operation(name, node, [base, *values, *spread], named, receiver=base)
        if name in words.FITS and self.static(func.value) is None:
            self.grow(func.value, [made])
        return made

    def _foreign(self, dotted: str, node: ast.Call, values: list[int], named: dict[str, int]) -> int:
        name = dotted.rpartition(".")[2]
        named_by = node.args[1] if len(node.args) > 1 else None
        computed = dotted in ("builtins.getattr", "builtins.setattr") and not isinstance(named_by, ast.Constant)
        if computed or (dotted == "builtins.vars" and not node.args):
            self.graph.dynamic.append((self.owner, node.lineno))
        self.suspect(dotted, node)
        if dotted == "builtins.getattr" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            return self.member(values[0], str(node.args[1].value), node)
        if dotted in ("builtins.len",):
            return self.new("len", preds=values, at=node)
        if name in ("heappush", "shuffle") and node.args:
            made = self._operation("draw" if name == "shuffle" else "", node, values, named)
            self.grow(node.args[0], [self.guarded(made)])
            return made
        if dotted.startswith(("sys.stdout", "sys.stderr", "logging.", "warnings.")):
            return self.new(at=node)
        if name == "print":
            if "file" in named:
                return self._sink(node, [*values, named["file"]])
            return self.new(at=node)
        return self._operation(name, node, values, named, dotted=dotted)

    def _sink(self, node: ast.Call, values: list[int]) -> int:
        sink = self.new("", "sink", [self.guarded(value) for value in values], node)
        self.graph.nodes[sink].weak.extend(self.conditions)
        return sink

    def _operation(
        self,
        name: str,
        node: ast.Call,
        values: list[int],
        named: dict[str, int],
        *,
        dotted: str = "",
        receiver: int | None = None,
    ) -> int:
        """A foreign call. Arguments that are constants are knobs and not kept, but where they name what is read."""
        given = [*values, *named.values()]
        if receiver is not None and self.graph.nodes[receiver].kind == "module":
            dotted = f"{self.graph.nodes[receiver].text}.{name}"
            if dotted.startswith(("sys.stdout", "sys.stderr")):
                return self.new(at=node)
        if name in words.WRITERS:
            return self._sink(node, given)
        if words.MOVES.match(dotted) or (
            not dotted and name in ("rename", "replace", "copy_into") and len(given) == 2
        ):
            self.graph.moves.append(self.new(preds=given, at=node))
        if name in words.SILENT:
            return self.new(at=node)
        if name in words.READERS:
            return self.new(kind="read", preds=given, at=node, text=dotted or f".{name}")
        if name in ("where", "select") and len(values) > 1:
            return self.pick(values[-2:], values[:-2], node)
        label = "" if name in words.PLUMBING else words.operation(name)
        if label in ("max", "min", "add", "mul", "sub", "div") and any(self.is_constant(value) for value in given):
            label = ""
        made = self.new(label, preds=given, at=node, text=dotted or f".{name}")
        if label == "sort" and "key" in named:
            self.graph.nodes[made].constant = "key"
        elif any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in node.args):
            self.graph.nodes[made].constant = "str"
        self.graph.link_handed(made, given, self.owner)
        return made
