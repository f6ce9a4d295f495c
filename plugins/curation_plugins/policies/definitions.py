"""What the modules of a policy define and import, noted before any body is walked. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from curation_plugins.policies.flow import Class, Function, Graph, Module, Scope

DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef)

Body = tuple[Scope, Sequence[ast.stmt], int, Function | None]
"""A scope, its statements, their owner, and the function they are the body of."""


def define(
    graph: Graph,
    scope: Scope,
    body: Sequence[ast.stmt],
    owner: int,
    prefix: str,
    inside: Class | None,
    places: list[Body],
    modules: dict[str, Module],
) -> None:
    """Note every function, class and import of a body, at any depth but not within the functions' own."""
    if inside is None:
        _outer_names(graph, scope, body)
    for node in _flat(body):
        if isinstance(node, DEFINITION):
            function = _function(graph, scope, node, prefix, inside)
            if inside is None:
                scope.functions[node.name] = function
            inner = Scope(scope.module, scope)
            define(graph, inner, node.body, function.index, f"{prefix}{node.name}.<locals>.", None, places, modules)
            function.declared = _declared(node.body)
            for name in function.declared:
                inner.values.pop(name, None)
                _holder(scope, name).shared.add(name)
            function.inner = inner
            places.append((inner, node.body, function.index, function))
        elif isinstance(node, ast.ClassDef):
            made = Class(node.name)
            scope.classes[node.name] = made
            for entry in node.body:
                if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                    made.fields.append(entry.target.id)
                    graph.field(entry.target.id)
                elif isinstance(entry, ast.Assign):
                    for target in entry.targets:
                        if isinstance(target, ast.Name):
                            graph.field(target.id)
            define(graph, scope, node.body, owner, f"{prefix}{node.name}.", made, places, modules)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            _imports(scope, node, modules)


def _flat(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a body and of the blocks within it."""
    found: list[ast.stmt] = []
    todo = list(reversed(body))
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, (*DEFINITION, ast.ClassDef)):
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            for holder in ast.iter_child_nodes(node):
                if isinstance(holder, ast.ExceptHandler | ast.match_case):
                    inner += holder.body
            todo += reversed(inner)
    return found


def _holder(scope: Scope, name: str) -> Scope:
    """The scope whose name a declared one is; the module's where none assigns it."""
    while name not in scope.values and scope.parent is not None:
        scope = scope.parent
    return scope


def _declared(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that a body declares global or nonlocal."""
    return frozenset(
        name for node in _flat(body) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    )


def _outer_names(graph: Graph, scope: Scope, body: Sequence[ast.stmt]) -> None:
    """A joining node for every name that the body assigns: what inner functions and other modules see of it."""
    for statement in _flat(body):
        if isinstance(statement, (*DEFINITION, ast.ClassDef)):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                scope.values.setdefault(node.id, graph.new())


def _function(
    graph: Graph, scope: Scope, node: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str, inside: Class | None
) -> Function:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    place = len(graph.functions)
    decorators = {
        part.id if isinstance(part, ast.Name) else getattr(part, "attr", "") for part in node.decorator_list
    }
    function = Function(
        index=place,
        file=scope.module.file,
        qualname=prefix + node.name,
        node=node,
        scope=scope,
        order=[argument.arg for argument in arguments],
        params={argument.arg: graph.new(owner=place) for argument in arguments},
        extra=graph.new(owner=place),
        result=graph.new(owner=place),
        is_property=bool(decorators & {"property", "cached_property"}),
    )
    graph.functions.append(function)
    if inside is not None:
        inside.methods[node.name] = function
        if decorators & {"staticmethod"}:
            function.order = ["", *function.order]
            function.params[""] = graph.new(owner=place)
        graph.methods.setdefault(node.name, []).append(function)
    return function


def _imports(scope: Scope, node: ast.Import | ast.ImportFrom, modules: dict[str, Module]) -> None:
    module = scope.module
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.name
            scope.imports[alias.asname or whole.partition(".")[0]] = (
                whole if alias.asname else whole.partition(".")[0]
            )
            if whole in modules:
                module.imported.add(whole)
        return
    base = own_target(module, node)
    for alias in node.names:
        dotted = f"{base}.{alias.name}" if base else alias.name
        if alias.name == "*" and base in modules:
            names = [*modules[base].scope.functions, *modules[base].scope.classes, *modules[base].scope.values]
            scope.imports.update({name: f"{base}.{name}" for name in names})
        else:
            scope.imports[alias.asname or alias.name] = dotted
        module.imported.update(name for name in (dotted, base) if name in modules)


def own_target(module: Module, node: ast.ImportFrom) -> str:
    """Dotted name of what ``from … import`` imports from, as the policy's own modules are named."""
    base = node.module or ""
    if not node.level:
        return base
    parts = module.name.split(".")
    keep = parts[: len(parts) - node.level + (1 if module.file.endswith("__init__.py") else 0)]
    return ".".join([*keep, *([base] if base else [])])
