"""The bag of a policy's operations, and what it reads by name. Standard library only."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Final

from curation_plugins.policies import words
from curation_plugins.policies.origins import CONTENT, METADATA, RANDOM, RAW, Origins

MOST: Final = 3
"""How often one operation counts at most: a helper written out four times is no other procedure."""


class Bag(Origins):
    """What a policy does, without names, numbers and order."""

    @cached_property
    def last_sorts(self) -> frozenset[int]:
        """Sorting of what is written, with nothing after it: the order of the rows means nothing."""
        found: set[int] = set()
        seen: set[int] = set()
        todo = list(self.sinks)
        while todo:
            node = self.nodes[todo.pop()]
            for pred in (*node.preds, *node.selectors):
                if pred in seen:
                    continue
                seen.add(pred)
                before = self.nodes[pred]
                plain = before.label == "sort" and before.text.rpartition(".")[2] in ("sorted", "sort")
                if plain and before.constant != "key":
                    found.add(pred)
                elif not before.label or before.kind == "pick":
                    todo.append(pred)
        return frozenset(found)

    def shown(self, place: int) -> str:
        """The label a node stands under in the bag; "" where it only passes on."""
        node = self.nodes[place]
        if place in self.last_sorts or place in self.rule_nodes or not self.origins[place]:
            return ""
        if node.kind == "pick":
            # row ids picked by a condition are the condition's: a mask and a loop that appends are one
            rows = any(self.origins[pred] & (RAW | CONTENT) for pred in node.preds)
            return "index" if rows and any(self.origins[pred] & CONTENT for pred in node.selectors) else ""
        if not self.origins[place] & (RAW | CONTENT | RANDOM):
            return ""
        return "" if node.label == "len" else node.label

    @cached_property
    def structure(self) -> set[int]:
        """Live nodes, without what only feeds a rule over metadata."""
        if not self.sinks:
            return set(range(len(self.nodes)))
        return self._back(self.sinks, weak=False, through_rules=False)

    @cached_property
    def features(self) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for place in self.structure:
            label = self.shown(place)
            if label:
                counted[label] += 1
                counted.update(f"{before}>{label}" for before in self._before(place))
            elif self.nodes[place].kind == "sink":
                counted.update(f"{before}>" for before in self._before(place))
        return {name: min(count, MOST) for name, count in sorted(counted.items())}

    def _before(self, place: int) -> set[str]:
        """Labels of the nearest operations that a node is computed from."""
        node = self.nodes[place]
        labels: set[str] = set()
        seen: set[int] = set()
        todo = [*node.preds, *node.selectors]
        while todo:
            pred = todo.pop()
            if pred in seen or pred in self.rule_nodes:
                continue
            seen.add(pred)
            label = self.shown(pred)
            if label:
                labels.add(label)
                continue
            found = self.nodes[pred]
            if found.kind == "read" or (found.kind == "key" and self.origins[pred] & (RAW | CONTENT)):
                labels.add("pool")
            todo += [*found.preds, *found.selectors]
        return labels

    @cached_property
    def formulas(self) -> dict[str, int]:
        """Live computations over metadata alone, rules and lengths left out."""
        counted = Counter(
            node.label
            for place in self.live - self.rule_nodes
            if (node := self.nodes[place]).label not in ("", "len", "index")
            and self.origins[place] & METADATA
            and not self.origins[place] & (RAW | CONTENT | RANDOM)
        )
        return dict(sorted(counted.items()))

    @cached_property
    def rules(self) -> dict[str, int]:
        counted = Counter(self.nodes[place].label for place in self.rule_nodes & self.live)
        return dict(sorted(counted.items()))

    def named(self) -> tuple[list[str], list[str]]:
        """Columns, signals and files that live code reads: those of content, and those of metadata."""
        content: set[str] = set()
        metadata: set[str] = set()
        for place in self.live:
            node = self.nodes[place]
            names: list[str] = []
            if node.kind == "read":
                names = [text for text in self.texts(node.preds) if "." in text]
            elif node.kind == "key" and any(self.origins[pred] & RAW for pred in node.preds):
                names = [node.text]
            elif node.kind == "pick" and any(self.origins[pred] & RAW for pred in node.preds):
                names = self.texts(node.selectors)
            for name in names:
                run = words.is_metadata(name) or words.is_run_file(name)
                (metadata if run else content).add(words.plain(name))
        return sorted(content), sorted(metadata)
