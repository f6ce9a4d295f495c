"""YAML files that an agent writes about its policy: read within bounds, and checked against a model, with lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from curation_sandbox.protocol import Problem

MAX_BYTES: Final = 20_000
MAX_DEPTH: Final = 12
SHOWN: Final = 20
"""Problems of one file that are told; the rest follow when these are mended."""

ModelT = TypeVar("ModelT", bound=BaseModel)

Place = tuple[str | int, ...]

_UNREAD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, yaml.YAMLError)
"""What PyYAML raises over scalars: an impossible date, a tag that does not fit (``!!bool x``, ``!!int ""``), a number
to the base 60 beyond all floats."""


class Written(Generic[ModelT]):
    """One such file. ``rule`` begins the problem codes, e.g. ``method``."""

    def __init__(self, name: str, rule: str, model: type[ModelT], stand_ins: Mapping[str, Any]) -> None:
        """Args:
        stand_ins: a value that the model takes for each of its keys.
        """
        self.name = name
        self.rule = rule
        self.model = model
        self.stand_ins = stand_ins

    def read(self, policy: Mapping[str, Path]) -> Draft[ModelT]:
        """Never raises: whatever is wrong becomes a problem."""
        draft = Draft[ModelT](self.name, self.rule)
        path = policy.get(self.name)
        if path is None:
            draft.add("missing", (), f"missing; this scaffold asks for it beside policy.py ({self._keys()})")
            return draft
        node = _compose(path, draft)
        if node is None:
            return draft
        data = _plain(node, (), draft)
        if draft.problems:
            return draft
        try:
            draft.value = self.model.model_validate(data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            for entry in found:
                where = ".".join(map(str, entry["loc"]))
                said = entry["msg"].lower().replace("tuple", "list")
                draft.add("invalid", entry["loc"], f"{where or 'the file'}: {said}")
            draft.unread = frozenset(str(entry["loc"][0]) for entry in found if entry["loc"])
            draft.readable = self._readable(data, draft.unread)
        else:
            draft.readable = draft.value
        return draft

    def _readable(self, data: dict[str, Any], unread: AbstractSet[str]) -> ModelT | None:
        """The file with stand-ins for the keys that cannot be read: the others are checked all the same."""
        kept = {key: value for key, value in data.items() if key not in unread}
        stand_ins = {key: value for key, value in self.stand_ins.items() if key in unread}
        try:
            return self.model.model_validate(kept | stand_ins)
        except ValidationError:
            return None

    def _keys(self) -> str:
        return ", ".join(self.model.model_fields)


class Draft(Generic[ModelT]):
    """What came of reading one file."""

    def __init__(self, name: str, rule: str) -> None:
        self.name = name
        self.rule = rule
        self.value: ModelT | None = None
        """The file, if all of it can be read."""
        self.readable: ModelT | None = None
        """The file with stand-ins where a key could not be read."""
        self.unread: frozenset[str] = frozenset()
        """Those keys."""
        self.problems: list[Problem] = []
        self._lines: dict[Place, int] = {}
        self._scalars: dict[Place, str] = {}

    def note(self, place: Place, line: int, scalar: str | None = None) -> None:
        self._lines[place] = line
        if scalar is not None:
            self._scalars[place] = scalar

    def line(self, place: Sequence[str | int]) -> int:
        """1-based line of a place in the file, or of the nearest one around it."""
        found = tuple(place)
        while found and found not in self._lines:
            found = found[:-1]
        return self._lines.get(found, 1)

    def scalar(self, place: Place) -> str:
        """A scalar as it was written."""
        return self._scalars.get(place, "")

    def problem(self, code: str, place: Sequence[str | int], message: str) -> Problem:
        return Problem(code=code, message=f"{self.name}:{self.line(place)}: {message}")

    def add(self, rule: str, place: Sequence[str | int], message: str) -> None:
        if len(self.problems) < SHOWN:
            self.problems.append(self.problem(f"{self.rule}-{rule}", place, message))


def _compose(path: Path, draft: Draft[Any]) -> yaml.Node | None:
    if path.stat().st_size > MAX_BYTES:
        draft.add("too-large", (), f"{path.stat().st_size} bytes; at most {MAX_BYTES} are read")
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        draft.note((), line)
        draft.add("not-text", (), "not UTF-8 text")
        return None
    try:
        # aliases could grow without bound; nothing that is written here needs them
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # stopped at the first: the scanner's time grows with the square of the depth
                draft.note((), getattr(event.start_mark, "line", 0) + 1)
                draft.add("not-yaml", (), "nested too deeply")
                return None
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                draft.note((), getattr(event.start_mark, "line", 0) + 1)
                draft.add("not-yaml", (), "anchors and aliases are not read")
                return None
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        draft.note((), mark.line + 1 if mark is not None else 1)
        draft.add("not-yaml", (), f"not YAML: {error.problem or error.context}")
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        draft.add("not-yaml", (), "not YAML" if isinstance(error, yaml.YAMLError) else "nested too deeply")
        return None
    if not isinstance(node, yaml.MappingNode):
        draft.add("not-yaml", (), "a mapping of keys to values was expected")
        return None
    return node


def _plain(node: yaml.Node, place: Place, draft: Draft[Any]) -> Any:
    """Nodes into plain values, noting lines; keys that stand twice and deep nesting are problems."""
    draft.note(place, node.start_mark.line + 1, node.value if isinstance(node, yaml.ScalarNode) else None)
    if len(place) > MAX_DEPTH:
        draft.add("not-yaml", place, "nested too deeply")
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_plain(entry, (*place, number), draft) for number, entry in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or name in found:
                draft.note((*place, "?"), key.start_mark.line + 1)
                said = "a key is no plain text" if name is None else f"the key {name[:40]!r} stands twice"
                draft.add("not-yaml", (*place, "?"), said)
                continue
            found[name] = _plain(value, (*place, name), draft)
        return found
    try:
        return _scalar(node)
    except _UNREAD:
        draft.add("not-yaml", place, "a value that cannot be read")
        return None


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()
