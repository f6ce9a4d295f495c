"""What the events of each kind say, as types; ``events.py`` says when they happen.

Keys with a default came later than their kind, or say something about some of its events only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError, create_model

from curation_harness.errors import RecordInvalid
from curation_harness.record.entry import Entry
from curation_harness.record.events import Event
from curation_harness.record.models import RunStatus

Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]
"""1, 2, 3 …"""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Nothing(Entry):
    """The kind says it all."""


class Created(Entry):
    spec: dict[str, str] = {}
    """The first 16 digits of the SHA-256 of every field of run.json."""


class AgentStarted(Entry):
    container: str
    turn: Number = 1


class AgentExited(Entry):
    code: int | None
    """Exit code; none: nobody knows it."""
    oom_killed: bool
    turn: Number = 1


class AgentIdle(Entry):
    seconds: Seconds


class AgentLost(Entry):
    what: Literal["engine", "container", "sockets", "provider"]
    error: str


class AgentContinued(Entry):
    why: str
    iterations_left: Count


class Clock(Entry):
    agent_seconds: Seconds
    """Since the last one."""


class Refused(Entry):
    n: Number
    codes: tuple[str, ...]


class Duplicate(Entry):
    attempt: Number
    key: str


class Accepted(Entry):
    n: Number
    digest: Digest
    rows: Count


class Reproduced(Entry):
    ok: bool
    seconds: Seconds
    trial: bool
    """Asked for by ``curate reproduce``."""


class MethodsListed(Entry):
    family: str | None
    search: str | None
    count: Count


class MethodRead(Entry):
    id: str
    attempts: Count
    """Accepted before."""


class AttemptStarted(Entry):
    n: Number


class AttemptScored(Entry):
    n: Number
    mean: Annotated[float, Field(allow_inf_nan=False)]


class AttemptFailed(Entry):
    n: Number
    failure: str
    refunded: bool


class Checkpoint(Entry):
    n: Number
    bytes: Count


class Worker(Entry):
    """Further keys by ``what``."""

    model_config = ConfigDict(frozen=True, extra="allow")
    what: str


class Error(Entry):
    error: str


class Signal(Entry):
    name: str
    rows: Count
    seconds: Seconds
    cached: bool
    attempt: Number | None = None
    """Whose model it was measured with; none: the base model's."""
    part: str | None = None
    """Name of the shard."""


class OomKill(Entry):
    count: Number


class BudgetSpent(Entry):
    budget: str


class ModelAsked(Entry):
    id: Number
    model: str | None
    tokens: Count
    """Of the prompt, estimated."""


class ModelCall(Entry):
    id: Number
    outcome: str
    status: Count
    tokens: Count
    dollars: Seconds | None
    seconds: Seconds


class ModelRefusals(Entry):
    not_recorded: Number


class Resumed(Entry):
    changed: tuple[str, ...] = ()
    """What is different from ``run.json``."""


class HeadlineStarted(Entry):
    attempt: Number


class HeadlineSeed(Entry):
    k: Number
    seed: Count


class Ended(Entry):
    status: RunStatus


DATA: Final[Mapping[str, type[Entry]]] = {
    "created": Created,
    "agent-started": AgentStarted,
    "agent-lost": AgentLost,
    "clock": Clock,
    "refused": Refused,
    "duplicate": Duplicate,
    "accepted": Accepted,
    "reproduced": Reproduced,
    "methods-listed": MethodsListed,
    "method-read": MethodRead,
    "attempt-started": AttemptStarted,
    "attempt-scored": AttemptScored,
    "attempt-failed": AttemptFailed,
    "checkpoint-kept": Checkpoint,
    "checkpoint-removed": Checkpoint,
    "worker": Worker,
    "server-error": Error,
    "signal": Signal,
    "oom-kill": OomKill,
    "done": Nothing,
    "budget-spent": BudgetSpent,
    "interrupted": Nothing,
    "agent-exited": AgentExited,
    "agent-idle": AgentIdle,
    "agent-lingers": Nothing,
    "agent-continued": AgentContinued,
    "agent-over": Nothing,
    "model-asked": ModelAsked,
    "model-call": ModelCall,
    "model-refusals": ModelRefusals,
    "gateway-error": Error,
    "resumed": Resumed,
    "headline-started": HeadlineStarted,
    "headline-seed": HeadlineSeed,
    "ended": Ended,
}
"""Kind of event → its data."""


def check(event: Event) -> Entry:
    """An event's data, as what its kind says.

    Raises:
        RecordInvalid: it is of no kind, or says something else than its kind does.
    """
    model = DATA.get(event.kind)
    if model is None:
        raise RecordInvalid(f"events.jsonl, line {event.seq}: no kind of event is called {event.kind!a}")
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordInvalid(
            f"events.jsonl, line {event.seq} ({event.kind}): {where}: {first['msg']}",
            hint="The record was changed or damaged.",
        ) from None


def line_models() -> list[type[Entry]]:
    """One model a kind, of a whole line of ``events.jsonl``."""
    made: list[type[Entry]] = []
    for kind, data in DATA.items():
        name = "".join(word.capitalize() for word in kind.split("-")) + "Line"
        fields: dict[str, Any] = {
            "seq": (int, Field(ge=1, description="1, 2, 3 … without gaps.")),
            "time": (str, Field(description="ISO 8601, UTC.")),
            "kind": (Literal[kind], ...),
            "data": (data, ...),
        }
        made.append(create_model(name, __base__=Entry, **fields))
    return made
