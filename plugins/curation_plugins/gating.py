"""What a scaffold's gate is shown of a submission, and of everything that came before it in the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from curation_plugins.selection import Selection
from curation_sandbox.protocol import Feedback, Problem, SubmitRequest

if TYPE_CHECKING:  # NumPy is loaded where columns are read, not where a plugin is imported
    import numpy as np

Function = tuple[str, str]
"""A function of a policy: its file's path in the policy, and its qualified name (``Ranker.score``); the body of a
file itself is ``<module>``."""

Columns = Callable[[], "Mapping[str, np.ndarray]"]
"""Reads a pool's metadata columns when they are first asked for."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What came of running a submitted policy again, in a fresh container, by the host."""

    ok: bool
    """Whether it ended in time, well, and with the same multiset of (row, weight)."""
    problems: tuple[Problem, ...] = ()
    """Every reason why not, a diff among them; the code of each begins with ``reproduce-``."""
    seconds: float = 0.0
    """Wall time of the policy's run."""
    functions: frozenset[Function] = frozenset()
    """Functions of the policy that were entered, as the tracer saw them."""
    digest: str | None = None
    """SHA-256 of the canonical selection that it made; none: it made none that could be read."""


class PoolMetadata:
    """What a pool says of its rows directly: read from the task's files at the first question, and then kept."""

    def __init__(self, rows: int, read: Columns) -> None:
        """Args:
        rows: how many rows the pool has.
        read: gives name → array of shape (rows,), see ``Task.metadata``.
        """
        self.rows = rows
        self._read = read

    @cached_property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Name → array of shape (rows,): numbers (``length``, ``turns``), booleans or strings (``source``)."""
        return self._read()


@dataclass(frozen=True, kw_only=True)
class EarlierTry:
    """A submission of the run that came before: an attempt, or one that was refused."""

    n: int | None
    """Number of the attempt; none: it was refused."""
    refusal: int | None = None
    """Number of the refusal; none: it was accepted."""
    outcome: Literal["accepted", "refused", "failed"]
    """``failed``: accepted, and the harness failed on it."""
    policy: Mapping[str, Path]
    """Path in the policy → copy on the host. Empty where a refused policy was too large to be kept."""
    select: Callable[[], Selection | None]
    """Reads ``selection``."""
    feedback: Feedback | None
    """What the agent was told of its score; none: it has no score (yet)."""
    cited: tuple[str, ...] = ()
    """Ids of method cards, as ``Scaffold.cites`` found them in it."""
    problems: tuple[Problem, ...] = ()
    """Why it was refused."""

    @property
    def selection(self) -> Selection | None:
        """Its rows, read from disk at each asking: a run may have many large ones. None: a refused file that could
        not be read as a selection."""
        return self.select()

    @property
    def codes(self) -> tuple[str, ...]:
        """The refusal's problem codes."""
        return tuple(problem.code for problem in self.problems)


@dataclass(frozen=True, kw_only=True)
class GateView:
    """One submission as a gate sees it. Policy files and the note are the agent's and may be anything."""

    request: SubmitRequest
    policy: Mapping[str, Path]
    """Path in the policy → copy on the host."""
    selection: Selection
    pool: PoolMetadata
    earlier: Sequence[EarlierTry] = ()
    """Everything that was handed in before in this run, in order, refused tries among them."""
    cards_read: Mapping[str, int] = field(default_factory=dict)
    """Id of a method card that was read in this run → number of attempts accepted before it was first read."""
    reproduction: Reproduction | None = None
    """Present where the scaffold reproduces (``Scaffold.reproduces``) and the policy made the same selection again.
    None otherwise; where it did not make it again, the submission is refused whatever the gate says, and the gate is
    still asked, so that every reason is told at once."""
