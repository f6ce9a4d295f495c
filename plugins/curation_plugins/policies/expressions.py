"""Expressions of a policy into nodes of its graph. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from curation_plugins.policies import words
from curation_plugins.policies.flow import Function
from curation_plugins.policies.scopes import Names

_BINARY = {
    ast.Add: "add",
    ast.Sub: "add",
    ast.Mult: "mul",
    ast.Div: "mul",
    ast.MatMult: "matmul",
    ast.Pow: "pow",
    ast.Mod: "mod",
    ast.FloorDiv: "mul",
    ast.BitAnd: "",
    ast.BitOr: "",
    ast.BitXor: "xor",
    ast.LShift: "shift",
    ast.RShift: "shift",
}


class Expressions(Names):
    """Evaluates expressions of one scope."""

    def value(self, node: ast.expr | None) -> int:
        if node is None:
            return self.new(kind="const", text="None")
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is not None:
            return int(method(node))
        children = [self.value(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return self.new(preds=children, at=node)

    def is_constant(self, node: int) -> bool:
        found = self.graph.nodes[node]
        return found.kind == "const" or (
            not found.kind
            and not found.label
            and bool(found.preds)
            and len(found.preds) < 9
            and all(self.graph.nodes[pred].kind == "const" for pred in found.preds)
        )

    def _constant(self, node: ast.Constant) -> int:
        return self.new(kind="const", at=node, text=node.value if isinstance(node.value, str) else repr(node.value))

    def _name(self, node: ast.Name) -> int:
        return self.name(node)

    def _namedexpr(self, node: ast.NamedExpr) -> int:
        value = self.value(node.value)
        self.env[node.target.id] = value
        return value

    def _binop(self, node: ast.BinOp) -> int:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List):
            return self.new(preds=[left, right], at=node)
        constant = self.is_constant(left) or self.is_constant(right)
        label = _BINARY[type(node.op)]
        if constant and label in ("add", "mul"):
            label = ""
        if constant and isinstance(node.op, ast.BitAnd) and isinstance(node.left, ast.Set | ast.Call):
            label = "in"  # {"yes", "no"} & set(words)
        return self.new(label, preds=[left, right], at=node)

    def _unaryop(self, node: ast.UnaryOp) -> int:
        value = self.value(node.operand)
        return value if self.graph.nodes[value].kind == "const" else self.new(preds=[value], at=node)

    def _compare(self, node: ast.Compare) -> int:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        if any(isinstance(part, ast.Constant) and part.value is None for part in (node.left, *node.comparators)):
            return self.new(preds=values, at=node)
        kinds = {type(op) for op in node.ops}
        label = "in" if kinds & {ast.In, ast.NotIn} else "order"
        if kinds <= {ast.Eq, ast.NotEq, ast.Is, ast.IsNot}:
            label = "equal"
        compared = self.new(label, preds=values, at=node)
        constants = [part.value for part in (node.left, *node.comparators) if isinstance(part, ast.Constant)]
        if constants:
            self.graph.nodes[compared].constant = type(constants[0]).__name__
        return compared

    def _ifexp(self, node: ast.IfExp) -> int:
        test = self.value(node.test)
        if ast.dump(node.test) == ast.dump(node.body):  # ``x if x else y`` is ``x or y``
            return self.new(preds=[test, self.value(node.orelse)], at=node)
        return self.pick([self.value(node.body), self.value(node.orelse)], [test], node)

    def _attribute(self, node: ast.Attribute) -> int:
        found = self.static(node)
        if isinstance(found, Function):
            self.graph.called(self.owner, found)
            return self.new(kind="fn", at=node, text=str(found.index))
        if isinstance(found, str):
            self.suspect(found, node)
            return self.new(kind="module", at=node, text=found)
        base = self.static(node.value)
        if isinstance(base, str) and base in self.modules:
            return self.module_value(base, node.attr)
        return self.member(self.value(node.value), node.attr, node)

    def member(self, base: int, name: str, at: ast.AST) -> int:
        preds = [base]
        for method in self.graph.methods.get(name, ()):
            if method.is_property:
                preds.append(self.graph.link(self.owner, method, [base], {}))
            else:
                preds.append(self.new(kind="fn", at=at, text=str(method.index)))
        if name in self.graph.fields:
            preds.append(self.graph.fields[name])
        if len(preds) > 1:
            return self.new(kind="field", preds=preds, at=at, text=name)
        if name in ("shape", "size"):
            return self.new("len", preds=preds, at=at)
        if name in words.ATTRIBUTES:
            return self.new(preds=preds, at=at)
        return self.new(kind="key", preds=preds, at=at, text=name)

    def _subscript(self, node: ast.Subscript) -> int:
        base = self.value(node.value)
        part = node.slice
        if isinstance(part, ast.Slice):
            return self.new(preds=[base], at=node)
        if isinstance(part, ast.Tuple):
            chosen = [self.value(entry) for entry in part.elts if not isinstance(entry, ast.Slice)]
            return self.pick([base], [entry for entry in chosen if not self.is_constant(entry)], node)
        index = self.value(part)
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            return self.new(kind="key", preds=[base], at=node, text=part.value)
        if not self.is_constant(index):
            return self.pick([base], [index], node)
        held = self.graph.nodes[index]
        texts = [self.graph.nodes[pred].text for pred in held.preds] or [held.text]
        if len(texts) == 1 and texts[0][:1].isalpha() and texts[0] not in words.PLAIN:
            return self.new(kind="key", preds=[base], at=node, text=texts[0])
        return base

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> int:
        outer, conditions = dict(self.env), []
        for part in node.generators:
            self.bind_loop(part.target, part.iter)
            conditions += [self.value(test) for test in part.ifs]
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        values = [self.value(element) for element in elements]
        self.env = outer
        return self.pick(values, conditions, node)

    _listcomp = _setcomp = _generatorexp = _dictcomp = _comprehension

    def bind_loop(self, target: ast.expr, iterated: ast.expr) -> int:
        """Bind a loop's target; returns the node that is iterated."""
        if isinstance(iterated, ast.Call) and isinstance(target, ast.Tuple) and iterated.args:
            called = self.static(iterated.func)
            if called == "builtins.enumerate" and len(target.elts) == 2:
                value = self.value(iterated.args[0])
                self.bind(target.elts[0], self.graph.new(kind="cut", weak=[value], owner=self.owner))
                self.bind(target.elts[1], value)
                return value
            if called == "builtins.zip" and len(target.elts) == len(iterated.args):
                values = [self.value(part) for part in iterated.args]
                for element, value in zip(target.elts, values, strict=True):
                    self.bind(element, value)
                return self.new(preds=values)
        value = self.value(iterated)
        self.bind(target, value)
        return value

    def bind(self, target: ast.expr, value: int) -> None:
        """Assign a node to a target."""
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self.bind(element, value)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Attribute):
            self.graph.nodes[self.graph.field(target.attr)].preds.append(self.guarded(value))
            self.value(target.value)
        elif isinstance(target, ast.Subscript):
            self.grow(target, [value])

    def assign(self, name: str, value: int) -> None:
        if self.function is not None and name in self.function.declared:
            self.graph.nodes[self._outer(name)].preds.append(self.guarded(value))
            return
        self.env[name] = value
        if name in self.scope.values:
            self.graph.nodes[self.scope.values[name]].preds.append(value)

    def grow(self, target: ast.expr, values: Sequence[int]) -> None:
        """The object a target names takes in values, whatever else names it too."""
        if isinstance(target, ast.Name):
            old = self.name(target)
            self.assign(target.id, self.new(preds=[old, *values], at=target))
            self.graph.changes.append((old, list(values)))
        elif isinstance(target, ast.Attribute):
            held = self.graph.field(target.attr)
            self.graph.nodes[held].preds.extend(values)
            self.value(target.value)
        elif isinstance(target, ast.Subscript):
            place = [] if isinstance(target.slice, ast.Slice) else [self.value(target.slice)]
            if place and isinstance(target.value, ast.Name) and all(self.is_constant(value) for value in values):
                # a constant put in under a mask: the rest is what passes, as with where()
                old = self.name(target.value)
                made = self.guarded(self.pick([old], place, target))
                if self.function is not None and target.value.id in self.function.params:  # the caller's object
                    self.graph.changes.append((old, [made]))
                self.assign(target.value.id, made)
                return
            self.grow(target.value, [self.guarded(self.new(preds=[*values, *place], at=target))])
        elif isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute) and target.args:
            self.grow(target.func.value, [*values, self.value(target.args[0])])  # held.setdefault(key, []).append(…)
        else:
            self.graph.changes.append((self.value(target), list(values)))
