"""Hostile bytes for tests of parsers: seeds from a corpus, changed where formats break.

    @given(mutated(corpus("uids")))
    def test_…(data: bytes): …

``CURATION_EXAMPLES=50`` makes every such test fifty times as long, and each time another one; without it the examples
are the same ones every time.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CORPUS: Final = Path(__file__).resolve().parents[1] / "golden" / "bytes"
TIMES: Final = int(os.environ.get("CURATION_EXAMPLES", "1"))

TOKENS: Final = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f\x98\x80", b"\r", b"\r\n",
    b"\n", b"\t", b"\x1b[2J", b"\x85", b"\xe2\x80\xa8", b"\x7f",
    b"NaN", b"-Infinity", b"1e999", b"-0.0", b"1e-999", b"0x10", b"1_000", b"9" * 30, b"9" * 5000, b"-" * 40,
    b"18446744073709551616", b"true", b"null", b"''", b'"', b"'''", b"\\ud800", b"\\u0000", b"\\", b"#", b":", b"- ",
    b"[" * 1200, b"(" * 400, b'{"a":' * 300, b"[]," * 400, b"}" * 20, b"]" * 20, b",", b",,", b"{", b"[", b"}", b"]",
    b"!!python/object/apply:os.system ['true']", b"!!python/name:os.system", b"!!binary aGVsbG8=", b"!!set {a, b}",
    b"&a [*a]", b"*a", b"<<: *a", b"? ", b"--- \n", b"%YAML 9.9\n", b"!!float .nan", b"2001-99-99", b"190:20:30",
    b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins", b"|O", b"O8",
    b"../../etc/passwd", b"/etc/passwd", b"file:///etc/passwd", b"~root", b"C:\\x",
    b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PAR1", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00",
    b"__import__('os').system('true')", b"lambda: " * 60, b"f'{" * 30, b"match x:\n case _: pass\n", b"async ",
    b"# coding: utf-7\n", b"# -*- coding: raw_unicode_escape -*-\n", b"\x0c",
)  # fmt: skip
"""Where readers differ, overflow, or do more than read."""

VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "a", "\x00", "\x1b[2J", "\ud800", "../../etc/passwd", "/etc/passwd", "policy.py", "x" * 5000,
    "\u202e", [], {}, [[]] * 50, {"a": {}}, ["a"] * 300, {str(k): k for k in range(60)},
)  # fmt: skip


def examples(count: int) -> settings:
    """Settings of a property test that is cheap by default."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def corpus(name: str) -> list[bytes]:
    """The files of one parser's corpus."""
    found = [path.read_bytes() for path in sorted((CORPUS / name).iterdir()) if path.is_file()]
    assert found, name
    return found


# -- bytes -----------------------------------------------------------------------------------------


def _flip(data: bytearray, at: int, draw: st.DrawFn) -> None:
    if data:
        data[at % len(data)] ^= 1 << draw(st.integers(0, 7))


def _byte(data: bytearray, at: int, draw: st.DrawFn) -> None:
    if data:
        data[at % len(data)] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFE, 0xFF)))


def _cut(data: bytearray, at: int, draw: st.DrawFn) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, draw: st.DrawFn) -> None:
    del data[at : at + draw(st.integers(1, 40))]


def _double(data: bytearray, at: int, draw: st.DrawFn) -> None:
    part = data[at : at + draw(st.integers(1, 80))]
    data[at:at] = part * draw(st.sampled_from((1, 2, 50)))


def _token(data: bytearray, at: int, draw: st.DrawFn) -> None:
    data[at:at] = draw(st.sampled_from(TOKENS))


def _line(data: bytearray, at: int, draw: st.DrawFn) -> None:
    """A line of its own, where the file has lines."""
    begin = data.find(b"\n", at) + 1
    data[begin:begin] = draw(st.sampled_from(TOKENS)) + b"\n"


def _number(data: bytearray, at: int, draw: st.DrawFn) -> None:
    """A number in the text, changed for another one."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data)))
    if found:
        one = found[at % len(found)]
        data[one.start() : one.end()] = draw(
            st.sampled_from((b"-1", b"0", b"NaN", b"1e999", b"9" * 400, b"2147483648"))
        )


_CHANGES: Final[tuple[Callable[[bytearray, int, st.DrawFn], None], ...]] = (
    _flip, _byte, _cut, _remove, _double, _token, _token, _line, _number,
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], most: int = 4) -> bytes:
    """A seed with a few changes, now and then with a piece of another one; sometimes no change at all."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, max(0, len(data))))
        if draw(st.integers(0, 9)) == 0:
            other = draw(st.sampled_from(seeds))
            begin = draw(st.integers(0, len(other)))
            data[at:at] = other[begin : begin + 400]
        else:
            draw(st.sampled_from(_CHANGES))(data, at, draw)
    return bytes(data)


# -- JSON ------------------------------------------------------------------------------------------


def places(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    yield place
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*place, key))


@st.composite
def mutated_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A document with values changed, left out, doubled or added, and now and then broken as bytes too."""
    tree = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        *above, last = (None, *draw(st.sampled_from(list(places(tree)))))
        if not above:
            continue
        at = tree
        for key in above[1:]:
            at = at[key]
        kind = draw(st.sampled_from(("value", "value", "remove", "add", "deep", "copy")))
        if kind == "remove":
            del at[last]
        elif kind == "deep":
            for _ in range(draw(st.sampled_from((3, 60, 200)))):
                at[last] = [at[last]]
        elif kind == "copy":
            at[last] = json.loads(json.dumps(tree))
        elif kind == "add" and isinstance(at, dict):
            at[draw(st.sampled_from(("", "format", "__class__", "path", "\ud800", "x" * 3000)))] = draw(_value)
        else:
            at[last] = draw(_value)
    data = json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:  # one key twice, which two readers read differently
        data = re.sub(rb'\{("\w+": )', rb'{\1"twice", \1', data, count=1)
    return draw(mutated([data], most=1))


_value: Final = st.sampled_from(VALUES).map(copy.deepcopy)


# -- what a parser does beside parsing -------------------------------------------------------------

NEVER: Final = {
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "ctypes.dlopen",
    "eval",
}
"""Audit events (docs.python.org, "Audit events table") that no parser of hostile bytes may cause.
Python itself unmarshals what it imports: that nobody else does is seen in the code (test_repo_parsers.py)."""
_watched = threading.local()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    seen: list[tuple[str, str]] | None = getattr(_watched, "seen", None)
    if seen is not None and (event == "open" or event in NEVER or event.startswith("socket.")):
        seen.append((event, str(arguments[0])[:200] if arguments else ""))


_installed: list[bool] = []


@contextmanager
def watched(*allowed: Path) -> Iterator[None]:
    """Holds the block to opening nothing but these files and folders, and to running and loading nothing.

    What Python itself opens to import a module is no matter.
    """
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    _watched.seen = []
    try:
        yield
    finally:
        seen, _watched.seen = _watched.seen, None
    ours = (
        *allowed,
        Path(sys.prefix),
        Path(sys.base_prefix),
        CORPUS.parents[2],
        Path("/proc/self"),
        Path("/dev/null"),
    )
    strange = [
        (event, what)
        for event, what in seen
        if event != "open" or not (what.isdigit() or any(Path(what).is_relative_to(place) for place in ours))
    ]
    assert not strange, strange
