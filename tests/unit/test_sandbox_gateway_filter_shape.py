"""What holds for all three wires: nothing unnamed passes, nothing crashes, filtering twice changes nothing."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_sandbox.gateway.filters import Filtered, Refused, filter_body
from curation_sandbox.gateway.wires import Wire
from filter_bodies import AWAY, claude_code, codex, openhands

BODIES: dict[Wire, Callable[[], dict[str, Any]]] = {
    Wire.MESSAGES: claude_code,
    Wire.RESPONSES: codex,
    Wire.CHAT: openhands,
}
MARKER = {"type": "url", "url": AWAY, "file_id": AWAY, "server_url": AWAY, "server_tool_use": {"url": AWAY}}
# Data for the model, which no provider acts upon; addresses in schemas have their own test.
FREE = {"input_schema", "parameters", "schema", "arguments", "action", "input_examples"}
Path = tuple[str | int, ...]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "source", "name", "tools", "url", "function"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def places(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every place below and including this one."""
    yield path
    if isinstance(node, dict):
        for name, each in node.items():
            yield from places(each, (*path, name))
    elif isinstance(node, list):
        for n, each in enumerate(node):
            yield from places(each, (*path, n))


def free(path: Path) -> bool:
    tool_arguments = "input" in path and "content" in path  # of a tool_use block
    return bool(FREE & set(path)) or tool_arguments


def at(body: Any, path: Path) -> Any:
    for step in path:
        body = body[step]
    return body


def outcome(wire: Wire, body: Any) -> Filtered | None:
    """None: refused. Whatever passes is filtered for good."""
    try:
        filtered = filter_body(wire, "generate", body)
    except Refused as refused:
        said = str(refused)
        assert said.isascii()
        assert len(said) < 600
        return None
    assert filter_body(wire, "generate", filtered.body) == Filtered(filtered.body, ())
    json.dumps(filtered.body, allow_nan=False)
    return filtered


@pytest.mark.parametrize("wire", Wire)
def test_an_address_planted_anywhere_does_not_pass(wire: Wire) -> None:
    body_places = [path for path in places(BODIES[wire]()) if not free(path)]
    assert len(body_places) > 50
    for path in body_places:
        for plant in (_replace, _add):
            body = BODIES[wire]()
            plant(body, path)
            before = AWAY in json.dumps(BODIES[wire]())
            filtered = outcome(wire, body)
            text = "" if filtered is None else json.dumps(filtered.body)
            assert text.count(AWAY) <= before, (path, plant.__name__)


def _replace(body: Any, path: Path) -> None:
    if path:
        at(body, path[:-1])[path[-1]] = MARKER


def _add(body: Any, path: Path) -> None:
    node = at(body, path)
    if isinstance(node, dict):
        node.update({name: MARKER for name in ("extra", "url", "file_id", "tools", "container") if name not in node})
    elif isinstance(node, list):
        node.append(MARKER)


@pytest.mark.parametrize("wire", Wire)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_body_with_anything_anywhere_is_filtered_or_refused(wire: Wire, data: st.DataObject) -> None:
    body = BODIES[wire]()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(body))[1:]))
        at(body, path[:-1])[path[-1]] = data.draw(json_values)
    outcome(wire, body)


@pytest.mark.parametrize("wire", Wire)
@given(
    body=json_values | st.dictionaries(st.sampled_from(["messages", "input", "tools", "tool_choice"]), json_values)
)
@settings(max_examples=200, deadline=None)
def test_any_json_is_filtered_or_refused(wire: Wire, body: Any) -> None:
    outcome(wire, body)


@pytest.mark.parametrize("wire", Wire)
def test_the_clients_body_is_left_as_it_is(wire: Wire) -> None:
    body = BODIES[wire]()
    body |= {"metadata": {"a": 1}, "tools": [*body["tools"], {"type": "web_search_20250305"}]}
    before = copy.deepcopy(body)
    assert filter_body(wire, "generate", body).changes
    assert body == before


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$recursiveRef", "$id", "id", "$schema"])
@pytest.mark.parametrize(
    "address",
    [AWAY, " HTTPS://away.example", "//away.example", "file:///etc/passwd", "\x01http://away.example", "ht\ntp://a"],
)
def test_a_schema_that_loads_an_address_is_refused(wire: Wire, key: str, address: str) -> None:
    body = BODIES[wire]()
    schemas = [path for path in places(body) if path and path[-1] in {"input_schema", "parameters", "schema"}]
    assert schemas
    for path in schemas:
        body = BODIES[wire]()
        at(body, path)["properties"] = {"a": {"anyOf": [{"type": "null"}, {key: address}]}}
        with pytest.raises(Refused, match="refer only to itself"):
            filter_body(wire, "generate", body)


def test_a_property_named_like_a_reference_passes() -> None:
    body = {"tools": [{"name": "x", "input_schema": {"properties": {"$ref": {"type": "string"}, "id": True}}}]}
    assert filter_body(Wire.MESSAGES, "generate", body).changes == ()


@pytest.mark.parametrize("wire", Wire)
def test_nesting_without_end_is_refused(wire: Wire) -> None:
    deep: Any = {"type": "object"}
    for _ in range(100_000):
        deep = {"items": [deep]}
    try:
        for field in ("tools", "messages", "input", "unknown"):
            with pytest.raises(Refused, match="nested"):
                filter_body(wire, "generate", {field: deep})
    finally:
        while deep is not None:  # or Python's own teardown overflows the stack
            deep = deep.get("items", [None])[0]


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(
    "flood",
    [
        {"tools": [{"type": "x"}] * 400_000},
        {"unknown": [[[1] * 1000] * 1000]},
        {f"field{n}": 1 for n in range(400_000)},
    ],
    ids=["tools", "numbers", "fields"],
)
def test_a_flood_of_values_is_refused(wire: Wire, flood: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="more than 300000 values"):
        filter_body(wire, "generate", flood)


@pytest.mark.parametrize("wire", Wire)
def test_a_flood_of_changes_is_summed_up(wire: Wire) -> None:
    filtered = filter_body(wire, "generate", {f"field{n}": 1 for n in range(10_000)} | {"store": False})
    assert len(filtered.changes) == 101
    assert filtered.changes[-1].startswith("and 99")


def test_a_clients_own_words_stay_short_and_printable_in_what_is_noted() -> None:
    body = {"\x1b[2J\n" + "x" * 10_000: 1, "tools": [{"type": "web\x1b]0;\u202e" + "y" * 10_000}]}
    for line in filter_body(Wire.MESSAGES, "generate", body).changes:
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 200


def test_a_path_of_long_names_stays_short() -> None:
    deep: dict[str, Any] = {"$ref": AWAY}
    for _ in range(50):
        deep = {"\x1b" + "x" * 1000: deep}
    with pytest.raises(Refused) as caught:
        filter_body(Wire.MESSAGES, "generate", {"tools": [{"name": "x", "input_schema": deep}]})
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(wire: Wire, body: Any) -> None:
    with pytest.raises(Refused, match="object"):
        filter_body(wire, "generate", body)


@pytest.mark.parametrize(
    ("wire", "body", "path"),
    [
        (Wire.MESSAGES, {"messages": "x"}, "messages"),
        (Wire.MESSAGES, {"messages": [{"role": "user"}]}, "messages[0]"),
        (Wire.MESSAGES, {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
         "messages[0].content[0].text"),
        (Wire.MESSAGES, {"tools": {"0": {}}}, "tools"),
        (Wire.MESSAGES, {"tools": ["web_search"]}, "tools[0]"),
        (Wire.MESSAGES, {"stream": "yes"}, "stream"),
        (Wire.RESPONSES, {"input": {"role": "user"}}, "input"),
        (Wire.RESPONSES, {"model": ["m"]}, "model"),
        (Wire.CHAT, {"messages": [[]]}, "messages[0]"),
        (Wire.CHAT, {"temperature": True}, "temperature"),
        (Wire.CHAT, {"stop": [1]}, "stop[0]"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_refused_by_its_path(wire: Wire, body: dict[str, Any], path: str) -> None:
    with pytest.raises(Refused) as caught:
        filter_body(wire, "generate", body)
    assert str(caught.value).startswith(f"{path}: ")
