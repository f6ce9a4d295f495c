"""Where code may do something else than it reads: a name that comes to mean another function, a module that is
taken from elsewhere, an object's insides. Standard library only.

The reader looks a function up by its name. What is found here makes that unsure, and is reported like ``exec``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from curation_plugins.policies import words
from curation_plugins.policies.definitions import DEFINITION, own_target
from curation_plugins.policies.flow import Module

INSIDES: Final = words.names(
    """
    __code__ __globals__ __builtins__ __subclasses__ __bases__ __mro__ __closure__ __defaults__ __kwdefaults__
    __getattribute__ __import__ __loader__ __spec__ __wrapped__ __reduce__ __reduce_ex__ __setstate__ __self__
    f_globals f_locals f_back gi_frame tb_frame cr_frame
    """
)
"""Attributes that lead to what an object is made of."""

_OWN_FOLDER: Final = words.names("str os path Path pathlib abspath realpath resolve absolute parent dirname __file__")
_BUILTIN_SETTERS: Final = ("setattr", "delattr")

_INNER: Final = (ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""What has names of its own, beside functions."""

Scoped = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def rebound(modules: dict[str, Module]) -> Iterator[tuple[int, int]]:
    """(owner as in ``Graph``, line) of each such place."""
    for place, module in enumerate(modules.values()):
        for line in _Module(module, modules).lines():
            yield -1 - place, line


class _Module:
    """One file of a policy."""

    def __init__(self, module: Module, modules: dict[str, Module]) -> None:
        self.module = module
        self.modules = modules
        self.every = list(ast.walk(module.tree))
        self.functions = {node.name for node in self.every if isinstance(node, DEFINITION)}
        self.classes = {node.name: node for node in self.every if isinstance(node, ast.ClassDef)}
        self.imports: dict[str, bool] = {}
        """Name → whether it is of the policy's own files."""
        for node in self.every:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports |= {name: bool(target) for name, target in self._imported(node)}

        self.tried = _within_try(module.tree)

    def lines(self) -> Iterator[int]:
        for node in self.every:
            if isinstance(node, Scoped):
                yield from self._bound_again(node)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                if {*self.functions, *self.classes} & set(node.names):
                    yield node.lineno
            elif isinstance(node, ast.Attribute) and node.attr in INSIDES:
                yield node.lineno
            elif isinstance(node, ast.Call):
                yield from self._call(node)
        yield from self._stored()
        yield from self._search_path()

    # -- names ---------------------------------------------------------------------------------------

    def _bound_again(self, scope: Scoped) -> Iterator[int]:
        """A name that a body gives to a function or class of the policy, and to something else as well."""
        own: dict[str, object] = {}
        others: dict[str, int] = {}
        for node in _own_nodes(scope):
            if isinstance(node, (*DEFINITION, ast.ClassDef)):
                if _is_part(node):
                    continue
                if node.name in own:
                    yield node.lineno
                own[node.name] = node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for name, target in self._imported(node):
                    if target and own.get(name, target) != target:
                        yield node.lineno
                    if target:
                        own[name] = target
                    elif id(node) not in self.tried:  # a fallback for a module that may be missing is honest
                        others.setdefault(name, node.lineno)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                others.setdefault(node.id, node.lineno)
        yield from (line for name, line in others.items() if name in own)

    def _imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        """Names that an import binds, each with what it is of the policy's own; "" if it is foreign."""
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.asname or alias.name.partition(".")[0]
                yield name, (name if alias.name in self.modules else "")
            else:
                base = own_target(self.module, node)
                dotted = f"{base}.{alias.name}"
                yield alias.asname or alias.name, (dotted if {base, dotted} & self.modules.keys() else "")

    # -- attributes ----------------------------------------------------------------------------------

    def _stored(self) -> Iterator[int]:
        """``shown.rank = other``, ``np.argsort = other``, ``Ranker.rank = other``; constants are settings."""
        settings = {
            id(target)
            for node in self.every
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
        }
        for node in self.every:
            if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
                continue
            root = _root(node)
            foreign = self.imports.get(root) is False and id(node) not in settings
            if foreign or self.imports.get(root) or self._is_method(node.value, node.attr):
                yield node.lineno

    def _is_method(self, base: ast.expr, name: str) -> bool:
        found = self.classes.get(base.id) if isinstance(base, ast.Name) else None
        return found is not None and any(isinstance(node, DEFINITION) and node.name == name for node in found.body)

    def _call(self, node: ast.Call) -> Iterator[int]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        texts = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if name in ("getattr", "attrgetter") and any(part in INSIDES for text in texts for part in text.split(".")):
            yield node.lineno
        if name in (*_BUILTIN_SETTERS, "vars") and node.args:
            root = _root(node.args[0])
            if root in self.imports or root in self.classes or root in self.functions:
                yield node.lineno
        setter = isinstance(node.func, ast.Attribute) and node.func.attr in ("__setattr__", "__delattr__")
        if setter and node.args and _root(node.args[0]) not in ("self", "cls"):
            yield node.lineno

    # -- where modules are looked for ------------------------------------------------------------------

    def _search_path(self) -> Iterator[int]:
        """``sys.path``, but for adding the policy's own folder to it."""
        allowed: set[int] = set()
        for node in self.every:
            if isinstance(node, ast.Compare):
                allowed.update(id(part) for part in node.comparators)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                added = node.func.attr in ("insert", "append") and bool(node.args)
                if added and self._own_folder(node.args[-1], 3):
                    allowed.add(id(node.func.value))
        for node in self.every:
            if isinstance(node, ast.Attribute) and node.attr == "path" and isinstance(node.value, ast.Name):
                if node.value.id == "sys" and id(node) not in allowed:
                    yield node.lineno
            elif isinstance(node, ast.ImportFrom) and node.module == "sys":
                yield from (node.lineno for alias in node.names if alias.name == "path")
            elif isinstance(node, ast.Import):
                yield from (node.lineno for alias in node.names if alias.name == "sys" and alias.asname)

    def _own_folder(self, node: ast.expr, depth: int) -> bool:
        """Whether an expression is the policy's folder: ``"."``, or made of ``__file__`` and no text, in a file that
        lies there. From another folder a module has another name than the reader knows it by."""
        if isinstance(node, ast.Constant):
            return node.value in (".", "")
        if "/" in self.module.file:
            return False
        found = list(ast.walk(node))
        names = {part.id for part in found if isinstance(part, ast.Name)}
        attributes = [part.attr for part in found if isinstance(part, ast.Attribute)]
        called = [*attributes, *(part.id for part in found if isinstance(part, ast.Name))]
        if any(isinstance(part, ast.Constant | ast.BinOp | ast.JoinedStr) for part in found):
            return False
        if not set(attributes) <= _OWN_FOLDER or called.count("parent") + called.count("dirname") > 1:
            return False
        unknown = names - _OWN_FOLDER
        if not unknown:
            return "__file__" in names
        given = [
            part.value
            for part in self.every
            if isinstance(part, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id in unknown for target in part.targets)
        ]
        plain = "parent" not in called and "dirname" not in called
        return plain and len(unknown) == 1 and len(given) == 1 and depth > 0 and self._own_folder(given[0], depth - 1)


def _own_nodes(scope: Scoped) -> Iterator[ast.AST]:
    """The nodes of a body, without those of the scopes within it, whose definitions are given."""
    todo: list[ast.AST] = list(reversed(scope.body))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*DEFINITION, *_INNER)):
            todo += reversed(list(ast.iter_child_nodes(node)))


def _within_try(tree: ast.Module) -> set[int]:
    """``id`` of every import that stands somewhere in a ``try``."""
    found: set[int] = set()
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if inside and isinstance(node, ast.Import | ast.ImportFrom):
            found.add(id(node))
        inside = inside or isinstance(node, ast.Try)
        todo += [(child, inside) for child in ast.iter_child_nodes(node)]
    return found


def _is_part(node: ast.AST) -> bool:
    """``@x.setter``, ``@overload``, ``@f.register``: more of what the name means already."""
    for decorator in getattr(node, "decorator_list", ()):
        part = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
        base = part.value.id if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) else ""
        own = getattr(node, "name", "")
        if name == "overload" or (name in ("setter", "getter", "deleter") and base == own):
            return True
        if name == "register" and own == "_":
            return True
    return False


def _root(node: ast.expr) -> str:
    """The name that a dotted expression begins with; "" where it begins with no name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
