"""The child process that reads a policy: files as JSON on standard input, findings as JSON on standard output.

Standard library only. Limits on processor time and memory are its own, set before it reads anything.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import resource
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from curation_plugins.policies import packed, statements
from curation_plugins.policies.bag import Bag
from curation_plugins.policies.flow import Function, Module, TooComplex

MAX_SYNTAX_NODES = 120_000
MAX_DEPTH = 200
"""Nested syntax deeper than this is no code that a person or agent writes; deeper, and the walk would overflow."""

NOWHERE = "/dev/null/policy"
"""What the parser is told as a file's name. For the line of a syntax error Python opens the file of that name, and
names of a policy's files are the agent's."""

MAX_BITS = 600
"""Of a whole number in code; 200 digits fill a line without a blank, which is packed data anyway."""


def problem(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def parse(files: dict[str, str]) -> tuple[dict[str, Module], list[dict[str, str]]]:
    modules: dict[str, Module] = {}
    problems: list[dict[str, str]] = []
    nodes = 0
    for file, text in sorted(files.items()):
        try:
            tree = ast.parse(text, filename=NOWHERE)
        except SyntaxError as error:
            version = ".".join(map(str, sys.version_info[:2]))
            said = f"{file}:{error.lineno or 1}: {error.msg} (policies are read with the grammar of Python {version})"
            problems.append(problem("policy-syntax", said))
            continue
        except ValueError as error:
            problems.append(problem("policy-syntax", f"{file}:1: {error}"))
            continue
        except (RecursionError, MemoryError):
            problems.append(problem("policy-too-complex", f"{file}: nested too deeply to be read"))
            continue
        size, depth, line = extent(tree)
        nodes += size
        if depth > MAX_DEPTH:
            problems.append(
                problem("policy-too-complex", f"{file}:{line}: nested {depth} deep; at most {MAX_DEPTH} are read")
            )
            continue
        problems += huge_numbers(file, tree)
        name = module_name(file)
        problems += clashes(file, name, modules)
        modules[name] = Module(file, name, tree)
    if nodes > MAX_SYNTAX_NODES:
        problems.append(
            problem("policy-too-complex", f"the code has {nodes} syntax nodes; at most {MAX_SYNTAX_NODES} are read")
        )
    return modules, problems


def module_name(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def clashes(file: str, name: str, modules: dict[str, Module]) -> list[dict[str, str]]:
    """Files that may not be what is imported under their name: what is read has to be what runs."""
    parts = name.split(".")
    above = [modules.get(".".join(parts[:end])) for end in range(1, len(parts))]
    others = [found for found in above if found is not None and not found.file.endswith("/__init__.py")]
    if name in modules or others:
        other = modules.get(name) or others[0]
        return [problem("policy-ambiguous", f"{file}:1: {other.file} is imported under the same name; rename one")]
    if parts[0] in sys.stdlib_module_names:
        return [problem("policy-ambiguous", f"{file}:1: {parts[0]} is a module of Python itself; rename it")]
    return []


def huge_numbers(file: str, tree: ast.AST) -> list[dict[str, str]]:
    """Whole numbers that no computation needs: packed data, and too long to be turned into decimal digits."""
    return [
        problem("policy-packed", f"{file}:{node.lineno}: a number of {node.value.bit_length()} bits")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value.bit_length() > MAX_BITS
    ][:5]


def extent(tree: ast.AST) -> tuple[int, int, int]:
    """Nodes, greatest depth and its line, without recursion."""
    count, deepest, line = 0, 0, 1
    todo: list[tuple[ast.AST, int]] = [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        count += 1
        if depth > deepest:
            deepest, line = depth, getattr(node, "lineno", line)
        todo += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return count, deepest, line


def findings(modules: dict[str, Module], others: Sequence[str]) -> dict[str, Any]:
    graph = statements.build(modules)
    bag = Bag(graph, modules, "policy", others)
    signals, metadata = bag.named()
    live_nodes = [graph.nodes[place] for place in sorted(bag.live) if graph.nodes[place].owner in bag.reached]
    calls = {node.text.removeprefix("builtins.") for node in live_nodes if node.label and node.text and not node.kind}
    return {
        "files": sorted(module.file for module in modules.values()),
        "functions": [described(function, bag) for function in graph.functions if "<lambda" not in function.qualname],
        "constants": constants(modules, bag),
        "calls": sorted(calls),
        "imports": sorted(foreign(modules)),
        "signals": signals,
        "metadata": metadata,
        "content": bag.content,
        "writes": bool(bag.sinks),
        "features": bag.features,
        "rules": bag.rules,
        "formulas": bag.formulas,
        "bodies": {module.file: body(module.tree) for module in modules.values()},
        "numbers": {module.file: numbers(module.tree) for module in modules.values()},
        "packed": [
            {"file": module.file, "line": line, "said": said}
            for module in modules.values()
            for line, said in packed.in_code(module.tree)
        ],
        "strings": [entry for module in modules.values() for entry in long_strings(module)][:1000],
        "dynamic": sorted({f"{file_of(owner, modules, bag)}:{line}" for owner, line in graph.dynamic}),
    }


def file_of(owner: int, modules: dict[str, Module], bag: Bag) -> str:
    return bag.graph.functions[owner].file if owner >= 0 else list(modules.values())[-1 - owner].file


def numbers(tree: ast.Module) -> list[int]:
    found = set()
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        if isinstance(value, int | float) and 0 <= value < 10**9 and value == int(value):
            found.add(int(value))
    return sorted(found)[:5000]


def long_strings(module: Module) -> list[dict[str, Any]]:
    return [
        {"file": module.file, "line": node.lineno, "length": len(node.value)}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) >= 1000
    ]


def described(function: Function, bag: Bag) -> dict[str, Any]:
    own = [place for place, node in enumerate(bag.nodes) if node.owner == function.index]
    working = [place for place in own if bag.nodes[place].label or bag.nodes[place].kind in ("read", "sink", "key")]
    reached = function.index in bag.reached
    return {
        "file": function.file,
        "qualname": function.qualname,
        "line": getattr(function.node, "lineno", 1),
        "end_line": getattr(function.node, "end_lineno", 1) or 1,
        "operations": len(working) + len(function.calls) + sums(function.node),
        "live": bool(bag.graph.dynamic) or (reached and any(place in bag.live for place in own)),
        "reached": bool(bag.graph.dynamic) or reached,
        "writes": any(bag.nodes[place].kind == "sink" for place in own),
        "does": [bag.nodes[place].label for place in working if bag.nodes[place].label][:200],
        "body": body(function.node),
    }


def sums(top: ast.AST) -> int:
    """Arithmetic and comparisons of a function, constants among them: counting is plumbing to the graph, and still is
    a step of some methods."""
    nodes = list(ast.walk(top))
    counted = sum(isinstance(node, ast.BinOp | ast.AugAssign | ast.Compare) for node in nodes)
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [getattr(func, "attr", getattr(func, "id", "")) for func in called]
    return counted + sum(name in ("Counter", "unique", "bincount", "where") for name in names)


class Outline(ast.NodeTransformer):
    """A body without docstrings and without the functions within it, of which only the names stay."""

    def __init__(self, top: ast.AST) -> None:
        self._top = top

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._definition(node)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        return self.generic_visit(node) if node is self._top else ast.Pass()

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def body(top: ast.AST) -> str:
    """SHA-256 of what a function, or a file outside its functions, does."""
    own = copy.deepcopy(top)
    return hashlib.sha256(ast.dump(Outline(own).visit(own)).encode()).hexdigest()


def constants(modules: dict[str, Module], bag: Bag) -> list[dict[str, Any]]:
    """Literals of code that is reached, in the order they stand."""
    names = list(modules)
    owners = {}
    for function in bag.graph.functions:
        owners[id(function.node)] = function
    found: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        module = modules[name]
        if -1 - place in bag.reached:
            collect(module.tree, module.file, "", owners, bag, found)
    return found[:5000]


def collect(
    top: ast.AST, file: str, function: str, owners: dict[int, Function], bag: Bag, found: list[dict[str, Any]]
) -> None:
    todo: list[tuple[ast.AST, str]] = [(top, function)]
    while todo:
        node, inside = todo.pop()
        owner = owners.get(id(node))
        if owner is not None and not isinstance(node, ast.Lambda):
            if owner.index not in bag.reached:
                continue
            inside = owner.qualname
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Constant) and node.value not in (None, True, False, Ellipsis):
            text = repr(node.value)[:200]
            found.append({"file": file, "function": inside, "line": node.lineno, "text": text})
        todo += [(child, inside) for child in reversed(list(ast.iter_child_nodes(node)))]


def foreign(modules: dict[str, Module]) -> set[str]:
    own = {name.partition(".")[0] for name in modules}
    found = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - own


def read(files: dict[str, str], others: Sequence[str] = ()) -> dict[str, Any]:
    """Args:
    others: names of the policy's files that are no code.
    """
    modules, problems = parse(files)
    if problems:
        return {"problems": problems}
    try:
        return {"problems": [], "code": findings(modules, others)}
    except TooComplex:
        return {"problems": [problem("policy-too-complex", "the code has more operations than are read")]}
    except RecursionError:
        return {"problems": [problem("policy-too-complex", "the code is nested too deeply to be read")]}


def main() -> None:
    memory, seconds = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    warnings.simplefilter("ignore")  # a policy's invalid escapes are not our output
    sys.setrecursionlimit(20 * MAX_DEPTH)
    given = json.loads(sys.stdin.buffer.read())
    answer = json.dumps(read(given["code"], given["others"]))
    sys.stdout.write(answer)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
