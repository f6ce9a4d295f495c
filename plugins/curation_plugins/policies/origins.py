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
    """What a graph says. ``modules`` in the order they were built in; ``entry`` is the one that is run."""

    def __init__(self, graph: Graph, modules: dict[str, Module], entry: str) -> None:
        self.graph = graph
        self.nodes = graph.nodes
        self._modules = modules
        self._entry = entry
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
        """Where something is written, in code that is reached; where a path named ``out`` is written to, only
        those."""
        every = [place for place, node in enumerate(self.nodes) if node.kind == "sink" and node.owner in self.reached]
        out = [place for place in every if self._names_out(place)]
        return out or every

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
        todo = list(range(len(self.nodes)))
        queued = [True] * len(self.nodes)
        while todo:
            place = todo.pop()
            queued[place] = False
            found = self._origin(self.nodes[place], origin) | origin[place]
            if found != origin[place]:
                origin[place] = found
                for reader in readers[place]:
                    if not queued[reader]:
                        queued[reader] = True
                        todo.append(reader)
        return origin

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
            if node.text.rpartition(".")[2] in words.PARSERS and given:
                return given
            return METADATA if self._of_the_run(node) else RAW | (given & ~RAW)
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

    def _of_the_run(self, node: Node) -> bool:
        named = [text for text in self.texts(node.preds) if "." in text]
        return bool(named) and all(words.is_run_file(text) for text in named)

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
        """Whether anything but metadata, constants and chance can be in what is written. Where in doubt: yes."""
        if self.graph.dynamic or not self.sinks:
            return True
        return any(self.origins[pred] & (CONTENT | STEERED) for sink in self.sinks for pred in self.nodes[sink].preds)

    @cached_property
    def rule_nodes(self) -> frozenset[int]:
        """Comparisons and keyword tests of metadata and constants only."""
        return frozenset(
            place
            for place, node in enumerate(self.nodes)
            if node.label and (node.label in COMPARISONS or self._keyword(node)) and not self.origins[place] & CONTENT
        )


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
