"""The generated parts of ``docs/plugins.md``: hooks, base classes, references and job types, taken from the source,
so that the words stand in one place.

A generated part lies between two comments and is replaced as a whole by ``make docs``::

    <!-- generated: hooks -->
    …
    <!-- end of generated: hooks -->
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Final

from curation_plugins import api, gating, hookspecs, jobs, references
from curation_sandbox import protocol


def fill(text: str) -> str:
    """``text`` with every generated part as it is now.

    Raises:
        KeyError: a part of an unknown name.
    """

    def part(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- generated: {name} -->\n{PARTS[name]()}\n<!-- end of generated: {name} -->"

    return re.sub(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end of generated: \1 -->", part, text, flags=re.DOTALL)


def hooks() -> str:
    """Every hook with its exact signature."""
    parts = []
    for node in _definitions(hookspecs):
        if isinstance(node, ast.FunctionDef):
            parts.append(f"### `{node.name}`\n\n{_code([_signature(node)])}\n\n{_doc(node)}")
    return "\n\n".join(parts)


def base_classes() -> str:
    """The classes of ``curation_plugins.api`` that a plugin subclasses or returns."""
    parts = [_code(_aliases(api, "Progress")), _class(api, "Task"), _class(protocol, "SignalInfo")]
    parts += [_class(api, name) for name in ("RowCard", "Agent", "AgentRequest", "AgentLaunch")]
    return "\n\n".join(parts)


def reference_names() -> str:
    """The table of known reference selections."""
    table = inspect.getdoc(references) or ""
    return table[table.index("|") :].replace("``", "`")


def rarer_classes() -> str:
    seen = [_class(gating, name) for name in ("GateView", "EarlierTry", "PoolMetadata", "Reproduction")]
    return "\n\n".join([_class(api, "Scaffold"), *seen, _class(api, "Engine"), _class(api, "EngineSession")])


def job_types() -> str:
    """What goes to a worker and what must come back."""
    names = [node.name for node in _definitions(jobs) if isinstance(node, ast.ClassDef)]
    return "\n\n".join([_code(_aliases(jobs, "Split", "Role")), *(_class(jobs, name) for name in names)])


PARTS: Final[dict[str, Callable[[], str]]] = {
    "hooks": hooks,
    "base-classes": base_classes,
    "references": reference_names,
    "rarer-classes": rarer_classes,
    "job-types": job_types,
}


def _class(module: ModuleType, name: str) -> str:
    node = _find(module, name)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {name}({bases}):" if bases else f"class {name}:"]
    for field, what in _fields(node):
        lines.append(f"    {ast.unparse(field)}")
        lines += [f"        # {line}" for line in textwrap.wrap(" ".join(what.replace("``", "`").split()), 100)]
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and (method.name == "__init__" or not method.name.startswith("_")):
            marks = [ast.unparse(mark) for mark in method.decorator_list]
            lines += [f"    @{mark}" for mark in marks]
            lines.append(f"    {_signature(method)}")
            lines += [f"        # {line}".rstrip() for line in _doc(method).splitlines()]
    return "\n\n".join(part for part in (f"### `{name}`", _doc(node), _code(lines)) if part)


def _aliases(module: ModuleType, *names: str) -> list[str]:
    """Lines for types that are only another name, each with the docstring under it as a comment."""
    lines = []
    body = _definitions(module)
    for place, node in enumerate(body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names:
            lines.append(ast.unparse(node))
            below = body[place + 1]
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                lines.append(f"    # {str(below.value.value).replace('``', '`')}")
    return lines


def _fields(node: ast.ClassDef) -> Iterator[tuple[ast.AnnAssign, str]]:
    """Annotated attributes, each with the docstring under it."""
    for place, statement in enumerate(node.body):
        if isinstance(statement, ast.AnnAssign):
            below = node.body[place + 1] if place + 1 < len(node.body) else None
            documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            yield statement, str(below.value.value) if documented else ""  # type: ignore[union-attr]


def _definitions(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(inspect.getsource(module)).body


def _find(module: ModuleType, name: str) -> ast.ClassDef:
    return next(node for node in _definitions(module) if isinstance(node, ast.ClassDef) and node.name == name)


def _signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){returns}"


def _doc(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").replace("``", "`")


def _code(lines: list[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"
