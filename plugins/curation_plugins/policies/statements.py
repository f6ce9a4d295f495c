"""Statements of a policy into its graph: every body once, after what is defined was noted. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from curation_plugins.policies.calls import Calls
from curation_plugins.policies.definitions import Body, define
from curation_plugins.policies.flow import Function, Graph, Module
from curation_plugins.policies.rebound import rebound
from curation_plugins.policies.scopes import Env


def build(modules: dict[str, Module]) -> Graph:
    """The graph of a policy's modules, by dotted name."""
    graph = Graph()
    places: list[Body] = []
    for place, module in enumerate(modules.values()):
        define(graph, module.scope, module.tree.body, -1 - place, "", None, places, modules)
        places.append((module.scope, module.tree.body, -1 - place, None))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                graph.field(node.attr)
    graph.dynamic += rebound(modules)
    for scope, body, owner, function in places:
        Statements(graph, modules, scope, owner).walk(body, function)
    while graph.pending:
        again = graph.pending.pop()
        if again.inner is not None and not isinstance(again.node, ast.Lambda):
            Statements(graph, modules, again.inner, again.index).walk(again.node.body, again)
    for _ in range(2):  # functions that were put into a list are found by the changes
        graph.link_deferred()
        graph.link_changes()
    return graph


class Statements(Calls):
    """Walks the statements of one function or module."""

    def walk(self, body: Sequence[ast.stmt], function: Function | None) -> None:
        self.function = function
        if function is not None:
            self.env.update(function.params)
            arguments = function.node.args
            self._defaults(function)
            for argument in (arguments.vararg, arguments.kwarg):
                if argument is not None:
                    self.env[argument.arg] = function.extra
            for name, value in function.params.items():
                if name in self.scope.values:
                    self.graph.nodes[self.scope.values[name]].preds.append(value)
        self.block(body)

    def _defaults(self, function: Function) -> None:
        arguments = function.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        given = zip(reversed(positional), reversed(arguments.defaults), strict=False)
        for argument, default in (*given, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
            if default is not None and not self.graph.nodes[function.params[argument.arg]].preds:
                self.graph.nodes[function.params[argument.arg]].preds.append(self.value(default))

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Walk statements in order; whether the block is left for good before its end."""
        before = len(self.conditions)
        left = False
        for statement in body:
            if self.statement(statement):
                left = True
                break
        # conditions under which an earlier statement left the block hold for its remainder only
        del self.conditions[before:]
        return left

    def statement(self, node: ast.stmt) -> bool:
        method = getattr(self, "_" + type(node).__name__.lower() + "_statement", None)
        if method is not None:
            return bool(method(node))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
        return False

    def _pass_statement(self, node: ast.stmt) -> bool:
        return False

    _import_statement = _importfrom_statement = _assert_statement = _pass_statement
    _global_statement = _nonlocal_statement = _pass_statement

    def _functiondef_statement(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """A decorator of the policy's own is called with the function: it may keep it."""
        made = self.scope.functions.get(node.name)
        for decorator in node.decorator_list:
            found = self.static(decorator)
            if isinstance(found, Function) and made is not None:
                self.graph.link(self.owner, found, [self.new(kind="fn", at=node, text=str(made.index))], {})
        return False

    _asyncfunctiondef_statement = _functiondef_statement

    def _delete_statement(self, node: ast.Delete) -> bool:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self.grow(target.value, [self.guarded(self.value(target.slice))])
        return False

    def _classdef_statement(self, node: ast.ClassDef) -> bool:
        for entry in node.body:
            if isinstance(entry, ast.Assign | ast.AnnAssign) and entry.value is not None:
                targets = entry.targets if isinstance(entry, ast.Assign) else [entry.target]
                value = self.value(entry.value)
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.graph.nodes[self.graph.field(target.id)].preds.append(value)
        return False

    def _return_statement(self, node: ast.Return) -> bool:
        if self.function is not None and node.value is not None:
            self._give(self.value(node.value))
        return True

    def _give(self, value: int) -> None:
        if self.function is not None:
            result = self.graph.nodes[self.function.result]
            result.preds.append(value)
            result.weak.extend(self.conditions)

    def _raise_statement(self, node: ast.Raise) -> bool:
        self.value(node.exc)  # ``raise SystemExit(main())``
        return True

    def _continue_statement(self, node: ast.stmt) -> bool:
        return True

    _break_statement = _continue_statement

    def _assign_statement(self, node: ast.Assign) -> bool:
        single = node.targets[0]
        if (
            isinstance(single, ast.Tuple)
            and isinstance(node.value, ast.Tuple)
            and len(single.elts) == len(node.value.elts)
        ):
            values = [self.value(part) for part in node.value.elts]
            for target, value in zip(single.elts, values, strict=True):
                self.bind(target, value)
            return False
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)
        return False

    def _annassign_statement(self, node: ast.AnnAssign) -> bool:
        if node.value is not None:
            self.bind(node.target, self.value(node.value))
        return False

    def _augassign_statement(self, node: ast.AugAssign) -> bool:
        value = self.value(node.value)
        if isinstance(node.target, ast.Subscript) and not isinstance(node.target.slice, ast.Slice):
            value = self.new(preds=[value, self.value(node.target.slice)], at=node)
        plain = self.is_constant(value) or isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor)
        if plain or isinstance(node.value, ast.List | ast.Tuple | ast.ListComp):
            self.grow(node.target, [value])
        else:
            self.grow(
                node.target,
                [self.new("sum" if isinstance(node.op, ast.Add | ast.Sub) else "mul", preds=[value], at=node)],
            )
        return False

    def _expr_statement(self, node: ast.Expr) -> bool:
        value = node.value
        self.for_effect = value if isinstance(value, ast.Call) else None
        made = self.value(value)
        if isinstance(value, ast.Yield | ast.YieldFrom | ast.Await) and value.value is not None:
            self._give(self.guarded(made))
        elif isinstance(value, ast.Call) and self.graph.nodes[made].label not in ("", "sort", "draw"):
            # called for its effect: what it was given may be changed by it
            parts = [*value.args, *(named.value for named in value.keywords)]
            for part in [*parts, *([value.func.value] if isinstance(value.func, ast.Attribute) else [])]:
                held = isinstance(part, ast.Attribute) and self.static(part) is None
                if held or (isinstance(part, ast.Name) and part.id in self.env):
                    self.grow(part, [made])
        return False

    def _if_statement(self, node: ast.If) -> bool:
        test = self.value(node.test)
        before = dict(self.env)
        self.conditions.append(test)
        left_body = self.block(node.body)
        after_body, self.env = self.env, dict(before)
        left_else = self.block(node.orelse)
        self.conditions.pop()
        if left_body and left_else:
            return True
        if left_body or left_else:
            self.env = self.env if left_body else after_body
            self.conditions.append(test)  # the remainder of the block runs only on this side
            return False
        self._merge(after_body, self.env, [test])
        return False

    def _merge(self, one: Env, other: Env, tests: list[int]) -> None:
        merged = dict(other)
        for name, value in one.items():
            if other.get(name, value) != value:
                merged[name] = self.pick([value, other[name]], tests)
            else:
                merged[name] = value
        self.env = merged

    def _loop(
        self, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt], first: ast.For | ast.AsyncFor | ast.While
    ) -> None:
        stored = {part.id for part in ast.walk(first) if isinstance(part, ast.Name)}
        heads: dict[str, int] = {}
        for name in sorted(stored & self.env.keys()):
            heads[name] = self.new(preds=[self.env[name]], at=first)
            self.env[name] = heads[name]
        before = len(self.conditions)
        if isinstance(first, ast.While):
            tie = self.value(first.test)
            self.conditions.append(tie)
        else:
            tie = self.bind_loop(first.target, first.iter)
        for statement in body:
            if self.statement(statement):
                break
        for name, head in heads.items():
            end = self.env.get(name, head)
            if end != head:
                self.graph.nodes[head].preds.append(self.pick([end], self.conditions[before:]))
                self.graph.nodes[head].weak.append(tie)
                self.env[name] = head
        del self.conditions[before:]
        self.block(orelse)

    def _for_statement(self, node: ast.For) -> bool:
        self._loop(node.body, node.orelse, node)
        return False

    def _while_statement(self, node: ast.While) -> bool:
        self._loop(node.body, node.orelse, node)
        return False

    _asyncfor_statement = _for_statement

    def _with_statement(self, node: ast.With) -> bool:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value)
        return self._inline(node.body)

    _asyncwith_statement = _with_statement

    def _inline(self, body: Sequence[ast.stmt]) -> bool:
        return any(self.statement(statement) for statement in body)

    def _try_statement(self, node: ast.Try) -> bool:
        left = self._inline(node.body)
        after = dict(self.env)
        for handler in node.handlers:
            self.env = dict(after)
            if not self.block(handler.body):
                self._merge(self.env, after, [])
                after = self.env
                left = False
        self.env = after
        left = self._inline(node.orelse) or left
        return self._inline(node.finalbody) or left

    def _match_statement(self, node: ast.Match) -> bool:
        subject = self.value(node.subject)
        before, ends = dict(self.env), [dict(self.env)]
        for case in node.cases:
            self.env = dict(before)
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None)
                if isinstance(name, str):
                    self.assign(name, subject)
            if not self.block(case.body):
                ends.append(self.env)
        self.env = ends[0]
        for end in ends[1:]:
            self._merge(end, self.env, [subject])
        return False
