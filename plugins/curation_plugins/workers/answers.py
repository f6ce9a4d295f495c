"""What a worker may say, checked on the host."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from curation_plugins.config import Frozen
from curation_plugins.jobs import Finite

MAX_ANSWER = 64 * 2**20
"""Bytes of one message; a worker with more to say writes a file."""


class Started(Frozen):
    job: int
    kind: Literal["started"]
    pid: int
    python: str
    """Version of the interpreter."""
    seconds: Finite
    """What importing and constructing the worker's class took; about 0 when it was warm."""


class Progressed(Frozen):
    job: int
    kind: Literal["progress"]
    what: Annotated[str, Field(max_length=1000)]
    done: Finite


class Result(Frozen):
    job: int
    kind: Literal["result"]
    result: Any


class Raised(Frozen):
    job: int
    kind: Literal["raised"]
    error: str
    """``ValueError: what it said``."""
    types: tuple[str, ...]
    """Names of the exception's class and of its bases."""
    errno: int | None = None
    """Of an ``OSError``."""


class Ended(Frozen):
    job: int
    kind: Literal["ended"]


Answer = Started | Progressed | Result | Raised | Ended
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])


def parse(line: bytes) -> Answer:
    """Read one message.

    Raises:
        ValueError: it is none; the text says why.
    """
    try:
        return _ANSWER.validate_python(json.loads(line, parse_constant=_refuse))
    except ValidationError as error:
        raise ValueError(explain(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"the number {constant}")


def explain(error: ValidationError) -> str:
    """The first few complaints in a line."""
    complaints = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:3]]
    more = error.error_count() - len(complaints)
    return "; ".join(complaints) + (f"; and {more} more" if more else "")


class LineBuffer:
    """Bytes of a stream, cut into lines; a line may come in many pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.pending = 0
        """Bytes of the line that has not ended yet."""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes.

        Raises:
            ValueError: a line is longer than ``MAX_ANSWER``.
        """
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join((*self._pieces, complete[0]))
            self._pieces, self.pending = [], 0
        if rest:
            self._pieces.append(rest)
            self.pending += len(rest)
        if self.pending > MAX_ANSWER:
            raise ValueError(f"sent a message of over {MAX_ANSWER} bytes")
        return complete
