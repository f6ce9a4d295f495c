"""The submit protocol, version 1: what travels over ``submit.sock``.

HTTP with JSON over a Unix socket. Both ends are held to these types: the server parses requests with
them, the golden files under ``tests/golden`` hold both ends to the same bytes, and the OpenAPI document in
``docs/`` is generated from them. The client in the container (``incontainer/curate.py``) is standard
library only and so repeats no type: it sends and prints plain JSON.

Bytes (a selection, a policy's files) travel first, each as a blob named by its SHA-256
(``PUT /v1/blobs/{digest}``); a submission then names digests only. So a retried upload is the same upload,
nothing has to be unpacked on the host, and no path of the agent's is ever opened there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

PROTOCOL_VERSION = "1"
"""Sent in every reply as ``Curation-Protocol``; raised when a change breaks an older client."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a blob's bytes, lower-case hexadecimal."""

PolicyPath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}$", max_length=200),
]
"""A relative path of plain ASCII names; no part may begin with a dot, so ``..`` cannot be written."""

AttemptState = Literal["queued", "training", "evaluating", "scored", "failed"]


class Wire(BaseModel):
    """Base of every message: frozen, and an unknown key is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Problem(Wire):
    """One reason why something was refused."""

    code: str
    """Stable, machine-readable name, e.g. ``unknown-row``."""
    message: str
    """What is wrong and what would be right, for a reader."""
    row: int | None = None
    """1-based line of the submitted file, where the reason concerns one."""


class ErrorReply(Wire):
    """Body of every reply with status 4xx or 5xx that is not a refusal."""

    error: str
    """Stable name: ``bad-request``, ``not-found``, ``busy``, ``too-many``, ``budget-spent``, ``too-large``,
    ``too-slow``, ``digest-mismatch``, ``unknown-blob``, ``run-over``, ``ours`` (the harness failed, not the
    agent)."""
    message: str
    """What happened and what to do."""


class BlobReply(Wire):
    """Reply to an upload."""

    digest: Digest
    size: int
    """Bytes."""


class CheckRequest(Wire):
    """Ask for a check of a submission's schema: free, trains nothing, spends nothing."""

    data: Digest


class CheckReply(Wire):
    ok: bool
    rows: int | None
    """Rows that the file selects, where it could be read."""
    problems: tuple[Problem, ...]
    more_problems: int = 0
    """How many further problems were found and not listed."""
    notes: tuple[str, ...] = ()
    """What would be done to it that its author should know, e.g. that a list of uids is sorted."""


class PolicyFile(Wire):
    """One file of the policy that made the submission."""

    path: PolicyPath
    blob: Digest


class SubmitRequest(Wire):
    """Hand in a submission."""

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
    """Idempotency key: the same key gets the same reply, however often it is sent."""
    data: Digest
    policy: Annotated[tuple[PolicyFile, ...], Field(max_length=200)]
    """The policy's own files. A submission without a policy is refused."""
    note: Annotated[str, StringConstraints(max_length=4000)] = ""
    """What was tried and why, in the agent's words."""


class Accepted(Wire):
    outcome: Literal["accepted"] = "accepted"
    attempt: int
    """1-based number of the attempt; ask for it with ``GET /v1/attempts/{attempt}``."""
    rows: int
    notes: tuple[str, ...] = ()
    """What was done to it that its author should know, e.g. that a list of uids was sorted."""


class Duplicate(Wire):
    """The same content was accepted before: its result stands, no iteration is spent."""

    outcome: Literal["duplicate"] = "duplicate"
    attempt: int


class Refused(Wire):
    """Not accepted. Costs no iteration; the number of refusals is capped."""

    outcome: Literal["refused"] = "refused"
    refusal: int
    """1-based number of the refusal in this run."""
    problems: tuple[Problem, ...]
    more_problems: int = 0
    refusals_left: int


class Checking(Wire):
    """Neither accepted nor refused yet: the host runs the policy again first. The same request again, with the same
    key, asks how it stands; it is never taken for another submission."""

    outcome: Literal["checking"] = "checking"
    key: str
    """The request's idempotency key."""


SubmitReply = Annotated[Accepted | Duplicate | Refused | Checking, Field(discriminator="outcome")]


class ReproduceRequest(Wire):
    """Ask the host to run a policy again and compare: free, submits nothing, spends nothing."""

    data: Digest
    policy: Annotated[tuple[PolicyFile, ...], Field(max_length=200)]


class ReproductionView(Wire):
    id: str
    state: Literal["working", "ready", "failed"]
    """``failed``: the harness could not run it; says nothing about the policy."""
    ok: bool | None = None
    """Whether the policy made the same rows again and carries no data; none: it is not known yet."""
    problems: tuple[Problem, ...] = ()
    """What a submission would be refused for, as far as the policy's run and its files go."""
    seconds: float | None = None
    """How long the policy ran."""
    functions: tuple[str, ...] = ()
    """Functions of the policy that were entered, as ``file:qualified.name``; the first thousand."""
    failure: str | None = None


class Score(Wire):
    """A mean with its standard error."""

    mean: float
    stderr: float
    """Standard error of the mean, clustered by question group."""
    n: int
    """Items scored."""


class ReferenceScore(Wire):
    """A known selection's public score, to compare with."""

    name: str
    mean: float
    sd: float | None
    """Standard deviation over seeds; none where there is one seed."""
    seeds: int


class Feedback(Wire):
    """What the agent is told after an attempt: public scores only."""

    mean: float
    """Unweighted mean of the benchmarks' means, in [0, 1]."""
    stderr: float
    n: int
    by_benchmark: dict[str, Score] | None
    """None where the task tells the mean only."""
    references: tuple[ReferenceScore, ...]
    noise_floor: float | None
    """1.96·√2·σ, σ the standard deviation of one submission's score over training seeds; differences below
    it are noise. None where it was not measured."""
    best_so_far: float
    best_attempt: int
    message: str
    """The comparison in a sentence: which attempt is the best, and whether the change is beyond noise."""
    mean_of: str = ""
    """What ``mean`` is called, e.g. that it is over some of a published table's benchmarks only."""


class AttemptView(Wire):
    n: int
    state: AttemptState
    rows: int
    feedback: Feedback | None = None
    failure: str | None = None
    """Set when ``state`` is ``failed``: the harness failed; the iteration was given back."""


class History(Wire):
    attempts: tuple[AttemptView, ...]
    refusals: int


class HistoryFile(Wire):
    """One file of what a policy finds at ``/history``."""

    path: str
    """Relative, e.g. ``signals/loss.jsonl``."""
    size: int
    """Bytes."""


class HistoryFiles(Wire):
    files: tuple[HistoryFile, ...]


class MethodLine(Wire):
    """A method card in a list."""

    id: str
    title: str
    family: str
    summary: str


class MethodList(Wire):
    methods: tuple[MethodLine, ...]
    families: tuple[str, ...]
    """All families there are cards of, whatever was asked for."""


class MethodView(Wire):
    """One method card, whole."""

    id: str
    card: dict[str, JsonValue]


class Budget(Wire):
    """One line of the ledger."""

    name: str
    unit: str
    limit: float | None
    """None: no limit."""
    spent: float
    refunded: float = 0.0
    """Of ``spent``, given back after a failure of the harness."""


class Status(Wire):
    run_id: str
    state: Literal["open", "working", "over"]
    """``working``: an attempt is being trained or scored, the agent's clock stands still."""
    attempt: int | None
    """The attempt in progress."""
    budgets: tuple[Budget, ...]
    events: tuple[str, ...] = ()
    """What the host noticed inside the container and the agent should know, e.g. a process killed for memory."""


class SignalInfo(Wire):
    name: str
    description: str
    unit: str
    """What one value is, e.g. ``nats per answer token`` or ``vector of 64 floats``."""
    of_attempts: bool = False
    """Whether it can be measured with an earlier attempt's model, too."""
    rows_max: int | None = None
    """Most rows in one request; none: as many as the pool has."""


class TaskView(Wire):
    name: str
    title: str
    brief: str
    """Markdown: what is trained, how it is scored, what the pool holds, what to hand in."""
    rules: str
    """Markdown: what the scaffold asks for."""
    kind: str
    """Submission kind: ``rows`` or ``uids``."""
    rows_max: int
    """At most this many different rows."""
    repeats_max: int = 1
    """Kind ``uids``: how often a uid may be named; 1: no repeats."""
    samples_min: int = 1
    """Kind ``uids``: at least this many, repeats counted."""
    max_bytes: int
    """Largest file of a submission."""
    pool_rows: int
    iterations: int
    benchmarks: tuple[str, ...]
    """Those that feedback is made of; a task may score others that have no public items."""
    signals: tuple[SignalInfo, ...]
    seed: int
    """For the policy's own randomness, so that a run can be repeated; what it is given as ``--seed`` when the host
    runs it again."""
    reproduces: bool = False
    """Whether the host runs each submitted policy again and refuses one that does not make the same rows."""
    reproduce_seconds: float | None = None
    """How long a policy may take then."""
    methods: int = 0
    """Method cards that ``GET /v1/methods`` lists; 0: the run has none."""


class SignalRequest(Wire):
    """Ask for a signal over rows: work on the host, metered, cached by content."""

    name: str
    rows: Digest
    """Blob with one row id a line."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """Measured with the model that this attempt of the run trained; none: with the base model."""


class SignalView(Wire):
    id: str
    name: str
    state: Literal["working", "ready", "failed"]
    attempt: int | None = None
    """As asked for."""
    cached: bool = False
    rows: tuple[int, ...] | None = None
    values: tuple[float | tuple[float, ...] | None, ...] | None = None
    """One per row, in the order of ``rows``; None where the signal is not defined (a text-only row has no
    image similarity)."""
    unmeasured: int = 0
    """Rows that were asked for and are not among ``rows``: the budget was spent before they were reached."""
    failure: str | None = None
