"""Uids as hexadecimal text and back, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.uids.table import UID, Halves

DIGITS: Final = 32
_NONE: Final = 255


def _values() -> NDArray[np.uint8]:
    values = np.full(256, _NONE, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        values[ord(digit)] = values[ord(digit.upper())] = value
    return values


_VALUES: Final = _values()
"""Byte → the digit's value; ``_NONE``: it is no digit."""


def halves(text: NDArray[np.uint8]) -> tuple[Halves, Halves, NDArray[np.bool_]]:
    """First and second halves of uids, and which are uids at all; the others' halves are 0.

    Args:
        text: bytes of shape (n, 32).
    """
    values = _VALUES[text]
    good = values.max(axis=1, initial=0) != _NONE
    values[~good] = 0
    numbers = np.ascontiguousarray((values[:, 0::2] << 4) | values[:, 1::2]).view(">u8")
    return numbers[:, 0].astype(np.uint64), numbers[:, 1].astype(np.uint64), good


def of_hex(texts: Sequence[str]) -> NDArray[np.void]:
    """Uids of their text, dtype ``UID``, shape (n,), in the order given.

    Raises:
        ValueError: one of them is no uid.
    """
    wrong = next((text for text in texts if len(text) != DIGITS or not text.isascii()), None)
    if wrong is None:
        joined = np.frombuffer("".join(texts).encode(), np.uint8).reshape(-1, DIGITS)
        high, low, good = halves(joined)
        if good.all():
            return pairs(high, low)
        wrong = texts[int(np.argmin(good))]
    raise ValueError(f"{wrong[:80]!r} is no uid: {DIGITS} hexadecimal digits")


def to_hex(uids: NDArray[np.void]) -> list[str]:
    """The text of uids, lower case."""
    return [f"{high:016x}{low:016x}" for high, low in uids.tolist()]


def pairs(high: Halves, low: Halves) -> NDArray[np.void]:
    """One array of dtype ``UID`` from its halves."""
    uids = np.empty(len(high), UID)
    uids["f0"], uids["f1"] = high, low
    return uids
