"""Policies carry no data: what a policy's files hold beside code is little, is text, and names few rows.

A policy that lists the rows it selects is no evidence of how they were found. This is a bound, not a proof: a
thousand row ids are two kilobytes, and fit into names and prose as well; such a policy still has to pass for a
procedure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from curation_plugins.policies import packed as packed_data
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.reading import MAX_BYTES, PolicyUnreadable, read_policy
from curation_sandbox.protocol import Problem

ENDINGS: Final = (".py", ".yaml", ".yml", ".md", ".txt", ".toml", ".json")
MAX_TEXT: Final = 20_000
"""Bytes of a file that is no code."""
MAX_ROWS: Final = 50
"""Different whole numbers in one file that are below the pool's size or, of any size, above 99; and, of those that
are both, in all files together. Different hexadecimal names, in one file and in all."""
MAX_RUN: Final = 200
"""Characters without a blank: more is packed data."""
MAX_PACKED_LINES: Final = 10
"""Lines of mixed letters and digits without a blank: so many are packed data, cut into lines."""
MAX_STRING: Final = 4_000
"""Characters of one string in code."""

_NUMBER: Final = re.compile(r"(?<![\w.-])\d{1,9}(?![\w.]\w)")
_GLUED: Final = re.compile(r"(?<![\d.])[1-9]\d{2,8}(?!\d)")
"""Three digits and more, in names (``r1034``), after a sign, before a unit."""
_UID: Final = re.compile(r"(?<![0-9A-Za-z])(?:0[xX])?(?=[0-9a-fA-F]*\d)([0-9a-fA-F]{6,64})(?![0-9A-Za-z])")
"""Uids, as pools of image-text pairs have them: whole, halves, or the beginnings that tell them apart."""
_RUN: Final = re.compile(rf"\S{{{MAX_RUN + 1},}}")
_PACKED: Final = re.compile(r"""^[\s"'bru(+]*(?=[^\s"']*\d)(?=[^\s"']*[A-Za-z])[A-Za-z0-9+/=\\_-]{48,}["',)\s]*$""")


def carried_data(files: Mapping[str, Path], pool_rows: int) -> tuple[Problem, ...]:
    """What in a policy's files is data, and why they cannot be read where they cannot; empty: neither.

    Args:
        files: path within the policy → copy on the host; hostile.
        pool_rows: how many rows the pool has: only numbers below it can name one.

    Raises:
        ReaderFailed: the child process that reads code could not be started.
    """
    size = sum(path.stat().st_size for path in files.values())
    if size > MAX_BYTES:
        said = f"the policy's files hold {size} bytes; at most {MAX_BYTES} are taken"
        return (Problem(code="policy-too-large", message=said),)
    problems: list[Problem] = []
    code: PolicyCode | None = None
    try:
        code = read_policy(files)
    except PolicyUnreadable as unreadable:
        problems += unreadable.problems
    together: set[int] = set()
    uids: set[str] = set()
    for name, path in sorted(files.items()):
        if not name.endswith(ENDINGS):
            said = f"{name}: a policy holds text files only ({' '.join(ENDINGS)})"
            problems.append(Problem(code="policy-file-kind", message=said))
            continue
        data = path.read_bytes()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            if not name.endswith(".py"):  # of code the reader has said so
                line = data[: error.start].count(b"\n") + 1
                problems.append(Problem(code="policy-not-text", message=f"{name}:{line}: not UTF-8 text"))
            continue
        if not name.endswith(".py") and len(data) > MAX_TEXT:
            said = f"{name}: {len(data)} bytes; a file that is no code holds at most {MAX_TEXT}"
            problems.append(Problem(code="policy-file-large", message=said))
            continue
        numbers = {int(found) for found in (*_NUMBER.findall(text), *_GLUED.findall(text))}
        if code is not None:
            numbers |= set(code.numbers.get(name, ()))
        rows = {number for number in numbers if number < pool_rows}
        together |= {row for row in rows if row > 99}
        named = {found.lower() for found in _UID.findall(text)}
        uids |= named
        large = {number for number in numbers if number < pool_rows or number > 99}
        problems += _in_one_file(name, text, large, named)
    if len(together) > MAX_ROWS and not any(problem.code == "policy-names-rows" for problem in problems):
        said = f"its files together hold {len(together)} different numbers of rows; at most {MAX_ROWS} are allowed"
        problems.append(Problem(code="policy-names-rows", message=said))
    if len(uids) > MAX_ROWS and not any(problem.code == "policy-names-rows" for problem in problems):
        said = f"its files together hold {len(uids)} different hexadecimal names, as uids are; at most {MAX_ROWS}"
        problems.append(Problem(code="policy-names-rows", message=said))
    if code is not None:
        problems += [
            Problem(
                code="policy-packed",
                message=f"{long.file}:{long.line}: a string of {long.length} characters; at most {MAX_STRING}",
            )
            for long in code.strings
            if long.length > MAX_STRING
        ]
        said_of = {problem.message.partition(":")[0] for problem in problems}
        problems += [
            Problem(code="policy-packed", message=f"{found.file}:{found.line}: {found.said}")
            for found in code.packed
            if found.file not in said_of
        ]
    return tuple(problems)


def _in_one_file(name: str, text: str, rows: set[int], uids: set[str]) -> Iterator[Problem]:
    if len(rows) > MAX_ROWS:
        line = _densest_line(text)
        said = f"{name}:{line}: the file holds {len(rows)} different whole numbers; at most {MAX_ROWS} are taken"
        yield Problem(code="policy-names-rows", message=said)
    elif len(uids) > MAX_ROWS:
        said = f"{name}: the file holds {len(uids)} different hexadecimal names, as uids are; at most {MAX_ROWS}"
        yield Problem(code="policy-names-rows", message=said)
    packed = 0
    for number, line_text in enumerate(text.split("\n"), start=1):
        packed += bool(_PACKED.match(line_text[: MAX_RUN + 1]))
        if _RUN.search(line_text) or packed > MAX_PACKED_LINES:
            said = f"{name}:{number}: letters and digits without a blank, as packed data is"
            yield Problem(code="policy-packed", message=said)
            return
    for number, told in packed_data.in_text(text):
        yield Problem(code="policy-packed", message=f"{name}:{number}: {told}")


def _densest_line(text: str) -> int:
    """The line with the most numbers, from 1."""
    counts = [len(_NUMBER.findall(line)) for line in text.split("\n")]
    return counts.index(max(counts)) + 1
