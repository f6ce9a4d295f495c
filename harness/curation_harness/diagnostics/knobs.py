"""The knobs of a policy: numbers and lists that fill a procedure, apart from seeds, names and plumbing."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from curation_harness.diagnostics.tries import Try
from curation_plugins.policies.child import NOWHERE
from curation_plugins.policies.code import PolicyCode

Knobs = Counter[str]
"""What stands in the code, written canonically, and how often."""

DATA: Final = (".json", ".yaml", ".yml", ".toml", ".txt")
TOLD: Final = frozenset({"method.yaml", "research.yaml"})
"""Files for a reader or a gate, which decide nothing."""

MAX_DEPTH: Final = 32
"""Nesting up to which a YAML file is read as a tree."""
MAX_SCALAR: Final = 20_000
"""Characters up to which a plain scalar of a YAML file is read: PyYAML's time for a number to the base 60 grows with
the square of its length."""

_UNREAD: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, yaml.YAMLError)
"""What readers of JSON and YAML raise: over nesting, over an impossible date, over a number to the base 60 beyond all
floats."""

_SEED: Final = re.compile(r"seed|salt|rng|random_state|generator", re.IGNORECASE)
_DRAWERS: Final = frozenset({"default_rng", "Random", "RandomState", "seed", "manual_seed", "SeedSequence", "PCG64"})
_SILENT: Final = frozenset({"print", "add_argument", "ArgumentParser", "open", "getLogger", "info", "debug", "exit"})
_PLUMBING: Final = re.compile(r"^--|^__main__$|^gpt$|\.(npy|npz|jsonl?|csv)$")
_KEY: Final = "key "
"""Before a name under which a mapping holds a knob: another name tells only where the code is laid out alike."""
_TRIVIAL: Final = frozenset({"0", "1", "-1", "2", "0.5"})


def knobs(one: Try) -> Knobs:
    """Numbers, listed strings and the values of data files. What only reaches a seed, a message or an argument parser
    is left out, and so is code that is never come to."""
    if "knobs" not in one.memo:
        one.memo["knobs"] = _knobs(one)
    found: Knobs = one.memo["knobs"]
    return found


def _knobs(one: Try) -> Knobs:
    found: Knobs = Counter()
    for name, text in one.documents.items():
        if name.endswith(".py") and one.code is not None:
            found.update(_of_code(name, text, one.code))
        elif name.endswith(DATA) and name.rpartition("/")[2] not in TOLD:
            found.update(_of_data(name, text))
    return found


def same_knobs(new: Try, old: Try, *, rewritten: bool) -> bool:
    """Whether two tries with one procedure have the same knobs.

    Args:
        rewritten: the code is laid out otherwise, so that small numbers of the layout (indices, powers) may differ.
    """
    left, right = knobs(new), knobs(old)
    if not rewritten:
        return left == right
    return _telling(left) == _telling(right)


def changed_knobs(new: Try, old: Try) -> list[str]:
    """What differs, for a reader: at most six."""
    left, right = knobs(new), knobs(old)
    added, gone = list(left - right)[:3], list(right - left)[:3]
    return [f"{text} (not before)" for text in added] + [f"{text} (gone)" for text in gone]


def _telling(found: Knobs) -> set[str]:
    return {
        text
        for text in found
        if text not in _TRIVIAL and not text.startswith(_KEY) and not (_number(text) and abs(float(text)) < 1e-5)
    }


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- code ------------------------------------------------------------------------------------------


def _of_code(file: str, text: str, code: PolicyCode) -> Knobs:
    try:
        tree = ast.parse(text, filename=NOWHERE)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Counter()
    idle = {part.qualname for part in code.functions if part.file == file and not part.reached}
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    walker = _Walker(idle, loaded)
    try:
        walker.visit(tree)
    except RecursionError:
        return Counter()
    return walker.found


class _Walker(ast.NodeVisitor):
    """Collects constants with a role."""

    def __init__(self, idle: set[str], loaded: set[str]) -> None:
        self.found: Knobs = Counter()
        self._idle = idle
        self._loaded = loaded
        self._inside: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        qualname = ".".join([*self._inside, node.name])
        if qualname in self._idle:
            return
        self._inside += [node.name, "<locals>"]
        for part in [*node.args.defaults, *node.args.kw_defaults]:
            if part is not None:
                self.visit(part)
        self._body(node.body)
        del self._inside[-2:]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside.append(node.name)
        self._body(node.body)
        self._inside.pop()

    def visit_Module(self, node: ast.Module) -> None:
        self._body(node.body)

    def _body(self, body: list[ast.stmt]) -> None:
        for part in body:
            if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):  # a docstring
                self.visit(part)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        unused = bool(names) and all(name not in self._loaded for name in names)
        seeds = any(_SEED.search(name) for name in names) and not isinstance(node.value, ast.Call)
        if unused or seeds:
            return
        self.visit(node.value)
        for target in node.targets:
            if not isinstance(target, ast.Name):
                self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name) and _SEED.search(node.target.id):
            return
        if node.value is not None:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _DRAWERS or name in _SILENT:
            return
        if name in ("round", "around"):  # decimals are layout
            for part in node.args[:1]:
                self.visit(part)
            return
        self.visit(node.func)
        for part in node.args:
            self.visit(part)
        for keyword in node.keywords:
            if not (keyword.arg and (_SEED.search(keyword.arg) or keyword.arg in ("encoding", "dtype", "kind"))):
                self.visit(keyword.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if any(_SEED.search(_name(part)) for part in (node.left, node.right)):
            return
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None and isinstance(key, ast.Constant):
                name = _written(key.value)
                if _SEED.search(name):
                    continue
                if isinstance(value, (ast.Constant, ast.Tuple, ast.List, ast.UnaryOp)):
                    self.found[f"{_KEY}{name}"] += 1
            self.visit(value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            self.visit(node.slice)

    def visit_List(self, node: ast.List) -> None:
        self._listed(node.elts)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._listed(node.elts)

    def visit_Set(self, node: ast.Set) -> None:
        self._listed(node.elts)

    def visit_Compare(self, node: ast.Compare) -> None:
        self._listed([node.left, *node.comparators])

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        return

    def visit_Constant(self, node: ast.Constant) -> None:
        self._keep(node, listed=False)

    def _listed(self, parts: list[ast.expr]) -> None:
        for part in parts:
            if isinstance(part, ast.Constant):
                self._keep(part, listed=True)
            else:
                self.visit(part)

    def _keep(self, node: ast.Constant, *, listed: bool) -> None:
        value = node.value
        if isinstance(value, bool) or value is None:
            self.found[repr(value)] += 1
        elif isinstance(value, (int, float)):
            self.found[_canonical(value)] += 1
        elif isinstance(value, str) and (listed or " " in value.strip()) and not _PLUMBING.search(value):
            self.found[repr(value)] += 1


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


# -- data files ------------------------------------------------------------------------------------


def _of_data(name: str, text: str) -> Iterator[str]:
    try:
        tree = (
            json.loads(text) if name.endswith(".json") else _yaml(text) if name.endswith((".yaml", ".yml")) else text
        )
    except _UNREAD:
        tree = text
    yield from _scalars(tree)


def _yaml(text: str) -> object:
    """YAML as a tree; as it stands where it could grow without bound or name types of its own."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and len(event.value) > MAX_SCALAR:
            return text
        # the scanner's time grows with the square of the depth; a tag makes the loader fail on what does not fit it
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            return text
    return yaml.safe_load(text)


def _scalars(tree: object) -> Iterator[str]:
    todo = [tree]
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            for key, value in part.items():
                name = key if isinstance(key, str) else _written(key)
                if not _SEED.search(name):
                    todo += [name, value]
        elif isinstance(part, list):
            todo += part
        else:
            yield _canonical(part) if isinstance(part, (int, float)) and not isinstance(part, bool) else repr(part)


def _canonical(number: float) -> str:
    """A number as it is compared; one that no float holds in hexadecimal digits."""
    try:
        return f"{number:g}"
    except OverflowError:
        return hex(int(number))


def _written(value: object) -> str:
    """As Python writes it; an integer of more digits than it writes, in hexadecimal ones."""
    try:
        return repr(value)
    except ValueError:
        return f"{value:#x}"
