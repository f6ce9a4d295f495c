"""What of a policy's graph is reached and live, and where its values come from. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from curation_plugins.policies import words
from curation_plugins.policies.flow import Graph, Module, Node

RAW: Final = 1
"""Came in as it is: rows, tables, pictures; not yet looked at."""
CONTENT: Final = 2
METADATA: Final = 4
RANDOM: Final = 8
STEERED: Final = 16
"""Which rows it is of was decided by content; what it says of them need not be content."""


COMPARISONS: Final = frozenset({"order", "equal", "in"})


class Origins:
    """What a graph says. ``modules`` in the order they were built in; ``entry`` is the one that is run; ``others``:
    the policy's files that are no code."""

    def __init__(self, graph: Graph, modules: dict[str, Module], entry: str, others: Iterable[str] = ()) -> None:
        self.graph = graph
        self.nodes = graph.nodes
        self._modules = modules
        self._entry = entry
        self._own_files = frozenset(name.rpartition("/")[2] for name in others)
        self._texts_only: dict[int, bool] = {}

    # -- what is reached -----------------------------------------------------------------------------

    @cached_property
    def reached(self) -> frozenset[int]:
        """Owners (functions, modules) that running the entry can come to."""
        names = list(self._modules)
        loaded, todo = set(), [self._entry] if self._entry in self._modules else []
        while todo:
            name = todo.pop()
            if name not in loaded:
                loaded.add(name)
                todo += self._modules[name].imported
                todo += [parent for parent in _parents(name) if parent in self._modules]
        found: set[int] = set()
        work = [-1 - place for place, name in enumerate(names) if name in loaded]
        while work:
            owner = work.pop()
            if owner in found:
                continue
            found.add(owner)
            work += self.graph.functions[owner].calls if owner >= 0 else self.graph.module_calls.get(owner, ())
        return frozenset(found)

    @cached_property
    def sinks(self) -> list[int]:
        """Where something is written, in code that is reached; where a path named ``out`` is written to, only those,
        unless a file is moved there."""
        every = [place for place, node in enumerate(self.nodes) if node.kind == "sink" and node.owner in self.reached]
        out = [place for place in every if self._names_out(place)]
        moved = any(self.nodes[place].owner in self.reached and self._names_out(place) for place in self.graph.moves)
        return every if moved else out or every

    def _names_out(self, sink: int) -> bool:
        seen, todo = {sink}, [sink]
        while todo and len(seen) < 3000:
            node = self.nodes[todo.pop()]
            if node.kind == "key" and node.text.lower() in ("out", "output", "out_file", "outfile", "out_path"):
                return True
            if node.label and node.kind != "pick":
                continue
            if node.kind == "read" and not node.text.endswith("open"):
                continue
            for pred in (*node.preds, *(node.weak if node.kind == "sink" else ())):
                if pred not in seen:
                    seen.add(pred)
                    todo.append(pred)
        return False

    def _back(self, starts: Iterable[int], *, weak: bool, through_rules: bool) -> set[int]:
        seen = set(starts)
        todo = list(seen)
        while todo:
            place = todo.pop()
            node = self.nodes[place]
            if not through_rules and place in self.rule_nodes:
                continue
            for pred in (*node.preds, *node.selectors, *(node.weak if weak else ())):
                if pred not in seen:
                    seen.add(pred)
                    todo.append(pred)
        return seen

    @cached_property
    def live(self) -> set[int]:
        """Every value that what is written can depend on."""
        if not self.sinks:
            return set(range(len(self.nodes)))
        return self._back(self.sinks, weak=True, through_rules=True)

    # -- where values come from ----------------------------------------------------------------------

    @cached_property
    def origins(self) -> list[int]:
        """For each node the union of RAW, CONTENT, METADATA and RANDOM that can be in it."""
        origin = [0] * len(self.nodes)
        readers: list[list[int]] = [[] for _ in self.nodes]
        for place, node in enumerate(self.nodes):
            for pred in (*node.preds, *node.selectors):
                readers[pred].append(place)
        self._spread(list(range(len(self.nodes))), origin, readers)
        # what is parsed and was never seen to be opened comes from outside too; that is known when all is spread
        unknown = [place for place, node in enumerate(self.nodes) if _parses(node) and not origin[place]]
        for place in unknown:
            origin[place] = RAW
        self._spread([reader for place in unknown for reader in readers[place]], origin, readers)
        return origin

    def _spread(self, todo: list[int], origin: list[int], readers: list[list[int]]) -> None:
        queued = set(todo)
        while todo:
            place = todo.pop()
            queued.discard(place)
            found = self._origin(self.nodes[place], origin) | origin[place]
            if found != origin[place]:
                origin[place] = found
                new = [reader for reader in readers[place] if reader not in queued]
                todo += new
                queued.update(new)

    def _origin(self, node: Node, origin: list[int]) -> int:
        given = 0
        for pred in node.preds:
            given |= origin[pred]
        chosen = 0
        for pred in node.selectors:
            chosen |= origin[pred]
        if node.kind == "cut":
            return METADATA
        if node.kind == "read":
            if _parses(node) and not self._of_no_row(node):
                return given
            return METADATA if self._of_no_row(node) else RAW | (given & ~RAW)
        if node.kind in ("key", "pick"):
            steered = STEERED if chosen & (CONTENT | STEERED) else 0
            return self._chosen(node, given) | (chosen & (METADATA | RANDOM)) | steered
        if node.label == "":
            return given
        if node.label == "draw":
            return given | RANDOM
        if node.label == "len":
            return METADATA | (given & STEERED)
        if node.label == "sort" and node.constant == "key":
            return given
        if self._keyword(node):
            return METADATA
        return (given & ~RAW) | (CONTENT if given & RAW else 0)

    def _keyword(self, node: Node) -> bool:
        """Whether text is looked through for a constant."""
        if node.label in ("in", "equal"):
            return node.constant == "str" or any(self._constant_texts(pred) for pred in node.preds)
        return node.text.rpartition(".")[2] in words.KEYWORD_TESTS and bool(self.texts(node.preds))

    def _constant_texts(self, start: int) -> bool:
        """Whether a value is nothing but texts that stand in the code."""
        if start not in self._texts_only:
            seen, todo, texts = {start}, [start], False
            while todo:
                node = self.nodes[todo.pop()]
                if (
                    (node.label and node.kind != "pick")
                    or node.kind in ("read", "key", "field", "cut")
                    or len(seen) > 60
                ):
                    texts = False
                    break
                texts = texts or (node.kind == "const" and node.text[:1].isalpha() and node.text not in words.PLAIN)
                unknown = not node.preds and node.kind != "const"
                if unknown:
                    texts = False
                    break
                todo += [pred for pred in node.preds if pred not in seen]
                seen.update(node.preds)
            self._texts_only[start] = texts
        return self._texts_only[start]

    def _chosen(self, node: Node, given: int) -> int:
        """What a column taken out of something carries: its kind, and whatever decided over the rows before."""
        keys = [node.text] if node.kind == "key" else self.texts(node.selectors)
        if not keys or not given & RAW:
            return given
        kinds = {words.is_metadata(key) for key in keys}
        return (given & ~RAW) | (METADATA if True in kinds else 0) | (RAW if False in kinds else 0)

    def _of_no_row(self, node: Node) -> bool:
        """Whether what is read is of the run, the policy's own, or the machine's: no content of any row."""
        texts = self.texts(node.preds)
        if any(text.startswith(words.MACHINE) for text in texts):
            return True
        named = [text for text in texts if "." in text]
        if named:
            return all(words.is_run_file(text) or text.rpartition("/")[2] in self._own_files for text in named)
        return any(self.nodes[pred].text == "builtins.__file__" for pred in self._passed_on(node.preds))

    def _union(self, places: Iterable[int]) -> int:
        found = 0
        for place in places:
            found |= self.origins[place]
        return found

    def _passed_on(self, starts: Iterable[int]) -> set[int]:
        """Nodes that others are, through whatever only passes them on."""
        seen = set(starts)
        todo = list(seen)
        while todo and len(seen) < 100:
            node = self.nodes[todo.pop()]
            if node.label == "" and node.kind != "read":
                todo += [pred for pred in node.preds if pred not in seen]
                seen.update(node.preds)
        return seen

    def texts(self, starts: Iterable[int]) -> list[str]:
        """Constant strings that reach some nodes by being passed on."""
        found, seen = [], set(starts)
        todo = list(seen)
        while todo and len(seen) < 500:
            node = self.nodes[todo.pop()]
            if node.kind == "const":
                if not node.text[:1].isdigit() and node.text not in words.PLAIN:
                    found.append(node.text)
            elif node.label == "" and node.kind in ("", "pick", "field"):
                for pred in node.preds:
                    if pred not in seen:
                        seen.add(pred)
                        todo.append(pred)
        return found

    @cached_property
    def content(self) -> bool:
        """Whether more than metadata, constants and chance can be in what is written, wherever more than constants is
        written: what stands in one place may be written over in another. Where in doubt: yes."""
        if self.graph.dynamic or not self.sinks:
            return True
        written = [self._union(self.nodes[sink].preds) for sink in self.sinks]
        decided = [found for found in written if found & ~RAW]  # the handle that is written to is raw, too
        return bool(decided) and all(found & (CONTENT | STEERED) for found in decided)

    @cached_property
    def rule_nodes(self) -> frozenset[int]:
        """Comparisons and keyword tests of metadata and constants only."""
        return frozenset(
            place
            for place, node in enumerate(self.nodes)
            if node.label and (node.label in COMPARISONS or self._keyword(node)) and not self.origins[place] & CONTENT
        )


def _parses(node: Node) -> bool:
    """Whether a node reads what was opened before."""
    return node.kind == "read" and node.text.rpartition(".")[2] in words.PARSERS


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
