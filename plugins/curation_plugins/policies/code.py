"""What is known of a policy's code."""

from __future__ import annotations

from pydantic import Field

from curation_plugins.config import Frozen


class FunctionCode(Frozen):
    """One function or method of a policy."""

    file: str
    qualname: str
    """As Python's ``__qualname__``: ``Class.method``, ``outer.<locals>.inner``; lambdas are not listed."""
    line: int
    end_line: int
    operations: int = Field(ge=0)
    """Computations in it, calls of the policy's own functions among them; 0: it only passes values on."""
    live: bool
    """Whether anything it computes can reach what the policy writes."""
    reached: bool
    """Whether running the policy can come to it at all."""
    writes: bool
    """Whether a call in it writes something."""
    does: tuple[str, ...]
    """Labels of its operations, in order of line."""
    body: str
    """SHA-256 of its syntax without places, comments and docstrings; functions within it are not part of it."""


class Constant(Frozen):
    """A number or string of live code; docstrings are left out."""

    file: str
    function: str
    """Qualified name; "" at module level."""
    line: int
    text: str


class LongString(Frozen):
    """A long string constant, docstrings among them."""

    file: str
    line: int
    length: int
    """Characters."""


class Packed(Frozen):
    """Where code holds more numbers, or more that looks like packed data, than code needs."""

    file: str
    line: int
    said: str
    """What was found."""


class PolicyCode(Frozen):
    """The code of one policy, as far as it can be told without running it."""

    files: tuple[str, ...]
    functions: tuple[FunctionCode, ...]
    constants: tuple[Constant, ...]
    """In order of function and place."""
    calls: tuple[str, ...]
    """Foreign calls of live code, e.g. ``numpy.argsort``; ``.sort`` for a method of an unknown object."""
    imports: tuple[str, ...]
    """Top-level modules from outside the policy."""
    signals: tuple[str, ...]
    """Columns, signals and files read by live code that say something of the content."""
    metadata: tuple[str, ...]
    """Columns and files read by live code that are metadata, or tell of the run."""
    content: bool
    """Whether anything but metadata, constants and chance can reach what is written; in doubt true."""
    writes: bool
    """Whether anything is seen to be written; else all code counts as live, and ``content`` as true."""
    features: dict[str, int]
    """Operation, or edge ``before>after``, to how often; names, constants, plumbing, dead code and order are
    erased."""
    rules: dict[str, int]
    """Comparisons of metadata with constants, by kind."""
    formulas: dict[str, int]
    """Computations over metadata alone (shares, roots of counts), by kind."""
    bodies: dict[str, str]
    """File → SHA-256 of the syntax of its own code, outside functions, imports included."""
    numbers: dict[str, tuple[int, ...]]
    """File → different whole numbers from 0 that stand in its code, however they are written; at most 5,000."""
    strings: tuple[LongString, ...]
    """Strings of a thousand characters and more."""
    packed: tuple[Packed, ...]
    """Data in disguise; at most one place a file."""
    dynamic: tuple[str, ...]
    """``file:line`` of what runs code that cannot be read (``exec``, computed attribute names); then nothing else
    here can be relied on."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Everything it reads by name."""
        return tuple(sorted({*self.signals, *self.metadata}))

    def function(self, file: str, qualname: str) -> FunctionCode | None:
        return next((f for f in self.functions if f.file == file and f.qualname == qualname), None)
