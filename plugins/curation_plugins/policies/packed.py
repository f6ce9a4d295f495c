"""Data that a policy's text may hold under other clothes: many numbers, packed characters. Standard library only.

The bounds lie far above what code needs: of the code in this repository, tests among it, the densest statement has 56
numbers and the densest file 268. What stays possible is to spell rows in plain words.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from typing import Final

MAX_NUMBERS_TOGETHER: Final = 100
"""Numbers in one statement or one string, also where they are few different ones (digits, gaps between rows)."""
MAX_NUMBERS: Final = 500
"""Numbers in one file."""
MAX_DECIMALS: Final = 100
"""Different decimal fractions of three digits and more in one file; each four digits count as one more."""
MAX_PACKED: Final = 400
"""Characters of words that are letters and digits as chance gives them, in one file."""
MAX_FOREIGN: Final = 100
"""Different characters beyond ASCII in one file: each can name a row."""
MAX_CONTROL: Final = 20
"""Control characters and bytes beyond ASCII in a file's strings."""
MAX_LARGE_BITS: Final = 1000
"""Of all whole numbers of ten digits and more in one file together."""

_DECIMAL: Final = re.compile(r"(?<=\.)\d{3,}")
_NUMBER: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"[A-Za-z0-9+/=_-]{12,}")
_DIGITS: Final = re.compile(r"\d{10,}")

Found = tuple[int, str]
"""Line, and what was found there."""


def in_text(text: str) -> Iterator[Found]:
    """Of any file, as it is written."""
    decimals: set[str] = set()
    foreign: set[str] = set()
    packed = 0
    for number, line in enumerate(text.split("\n"), start=1):
        decimals.update(_DECIMAL.findall(line))
        foreign.update(character for character in line if ord(character) > 127)
        packed += _packed(line)
        if sum((len(digits) + 3) // 4 for digits in decimals) > MAX_DECIMALS:
            yield number, f"more than {MAX_DECIMALS} different decimal fractions"
            return
        if len(foreign) > MAX_FOREIGN:
            yield number, f"more than {MAX_FOREIGN} different characters beyond ASCII"
            return
        if packed > MAX_PACKED:
            yield number, f"more than {MAX_PACKED} characters of letters and digits as packed data has them"
            return


def in_code(tree: ast.Module) -> Iterator[Found]:
    """Of a file of code, as it is meant: escapes and other notations are undone."""
    numbers, control, bits, packed = 0, 0, 0, 0
    foreign: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            together = sum(_is_number(part) for part in ast.walk(node))
            if together > MAX_NUMBERS_TOGETHER:
                yield node.lineno, f"{together} numbers in one statement; at most {MAX_NUMBERS_TOGETHER} are taken"
                return
        if not isinstance(node, ast.Constant):
            continue
        value, line = node.value, node.lineno
        numbers += _is_number(node)
        if isinstance(value, int) and value >= 10**9:
            bits += value.bit_length()
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            together = len(_NUMBER.findall(value))
            if together > MAX_NUMBERS_TOGETHER:
                yield line, f"{together} numbers in one string; at most {MAX_NUMBERS_TOGETHER} are taken"
                return
            odd = [character for character in value if not " " <= character <= "~" and character not in "\n\r\t"]
            bytewise = isinstance(node.value, bytes)
            control += len(odd) if bytewise else sum(character < " " or character == "\x7f" for character in odd)
            foreign.update(odd)
            packed += sum(_packed(part) for part in value.split("\n"))
        told = _too_much(numbers, control, bits, packed, len(foreign))
        if told:
            yield line, told
            return


def _too_much(numbers: int, control: int, bits: int, packed: int, foreign: int) -> str:
    if numbers > MAX_NUMBERS:
        return f"more than {MAX_NUMBERS} numbers in one file"
    if control > MAX_CONTROL:
        return f"more than {MAX_CONTROL} control characters or bytes beyond ASCII"
    if bits > MAX_LARGE_BITS:
        return f"whole numbers of ten digits and more, of {bits} bits together; at most {MAX_LARGE_BITS} are taken"
    if packed > MAX_PACKED:
        return f"more than {MAX_PACKED} characters of letters and digits as packed data has them"
    return f"more than {MAX_FOREIGN} different characters beyond ASCII" if foreign > MAX_FOREIGN else ""


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, complex)


def _packed(line: str) -> int:
    """Characters of a line in long rows of digits, or in words whose letters and digits change at random.

    Base 64 changes between lower case, upper case and digits at 44 of 100 places, hexadecimal at 47, not counting
    a capital before a small letter; names, paths and addresses at less than 20.
    """
    found = sum(len(digits) for digits in _DIGITS.findall(line))
    for word in _WORD.findall(line):
        kinds = ["a" if c.islower() else "A" if c.isupper() else "0" for c in word if c.isalnum()]
        changes = sum(one != two and one + two != "Aa" for one, two in itertools.pairwise(kinds))
        if changes > 0.3 * len(kinds):
            found += len(word)
    return found
