"""Text that an agent wrote, made safe to show: no control character of it reaches a terminal or a page.

Control and format characters can rewrite what a terminal shows, and reorder what a reader sees (Boucher &
Anderson 2021, arXiv 2111.00169). Escaping for HTML or for rich markup is the renderer's job and comes on top.
"""

from __future__ import annotations

import re
import unicodedata

_TERMINAL_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # everything else that begins with ESC
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one C1 character
)
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MARKS_IN_A_ROW = 4
"""Combining marks kept on one character; more are stacked over the lines around it."""


def one_line(text: str, limit: int, *, ascii_only: bool = False, keep_spaces: bool = False) -> str:
    """At most ``limit`` characters on one line: terminal sequences and control characters are gone.

    Runs of spaces become one, unless ``keep_spaces``: a table that somebody printed stays a table.
    """
    head = text[: 4 * limit + 4096]
    spaced = (
        " " if character.isspace() or unicodedata.category(character) in {"Zl", "Zp"} else character
        for character in _TERMINAL_SEQUENCE.sub("", head)
    )
    kept = "".join(character for character in spaced if unicodedata.category(character) not in _UNSAFE)
    line = _few_marks(kept).rstrip() if keep_spaces else " ".join(_few_marks(kept).split())
    if ascii_only:
        line = line.encode("ascii", "replace").decode()
    if len(line) <= limit and len(head) == len(text):
        return line
    return line[: limit - 1].rstrip() + ("." if ascii_only else "…")


def visible(text: str) -> str:
    """The whole text, with line ends and tabs, and every other control or format character written out.

    Written out and not removed: whoever reads an agent's code has to see that it holds such characters.
    """
    lines = text.replace("\r\n", "\n")
    if lines.isascii():
        return _ASCII_CONTROL.sub(lambda found: _written_out(found.group()), lines)
    shown = "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in _UNSAFE
        else _written_out(character)
        for character in lines
    )
    return _few_marks(shown)


def _written_out(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"


def _few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)
