"""The files of a run record, as types. ``docs/record.md`` shows the folder.

Every model is frozen and refuses unknown keys; ``FORMAT`` is raised when an older reader could misread a record.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from curation_harness.record.entry import Entry
from curation_harness.record.measures import Analysis, Noise, Scores, Scoring, SealedScore, Sums
from curation_plugins.config import AuditCounts, Published, TaskConfig
from curation_plugins.jobs import TrainResult
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.protocol import Budget, Feedback, PolicyFile, Problem

FORMAT = 2
"""Version of the run record; ``record/upgrades.py`` says what is new in each."""

TABLE_FORMAT = 1
"""Version of a reference table."""

RunStatus = Literal["running", "unscored", "scored", "empty", "failed"]
"""``unscored``: interrupted, or its process died; ``harness finish`` or ``resume`` goes on. ``empty``: ended
without a scored attempt. ``failed``: the harness failed and the run has no headline."""


class CodeRevision(Entry):
    version: str
    """Of the installed ``curation-harness``."""
    revision: str | None
    """Git commit of the checkout it runs from; none for an installed wheel."""
    dirty: bool | None
    """Whether the checkout held uncommitted changes."""


class Hardware(Entry):
    machine: str
    """Architecture, e.g. ``x86_64``."""
    processor: str
    cpus: int
    memory_bytes: int
    gpus: tuple[str, ...]
    kernel: str


class Provided(Entry):
    """A plugin object and the distribution it came from."""

    name: str
    distribution: str
    version: str


class ScaffoldUsed(Entry):
    name: str
    version: str
    digest: str
    """SHA-256 over its name, version, rules, method cards and gate; a resumed run must find the same."""
    distribution: str


class AgentUsed(Entry):
    name: str
    distribution: str
    version: str
    command: tuple[str, ...]
    agent_dir: str | None
    agent_dir_digest: str | None = None
    """SHA-256 over its files as they were at the launch; none: there is no folder, or it was too large to read."""
    agent_arg: str | None
    options: dict[str, JsonValue] = {}
    """``--agent-option``, checked and complete."""
    session: str = "00000000-0000-0000-0000-000000000000"
    """UUID by which the program's conversation is named."""
    prompt: str | None = None
    """SHA-256 of what an agent with a model was told; ``prompt.md`` beside this file has it."""


class Price(Entry):
    """A model's price as the user gave it, in dollars per million tokens."""

    model: str
    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float = Field(ge=0, allow_inf_nan=False)
    """Of prompt tokens read from a cache."""


class ModelUsed(Entry):
    """The model behind the gateway. The key is nowhere in a record."""

    provider: str
    name: str
    """At the provider."""
    small: str
    """The model for small side jobs; often the same."""
    wire: Wire
    base_url: str
    """The provider's address, without ``/v1``."""
    prices: tuple[Price, ...] = ()
    """The user's own, over those of the package ``genai-prices``."""


class ImageUsed(Entry):
    name: str
    digest: str
    """Image id, ``sha256:…``."""
    labels: dict[str, str]


class Seeds(Entry):
    """Where every seed of a run comes from; see ``curation_harness.seeds``."""

    run: int
    agent: int
    """Told to the agent, for its policy's own randomness."""
    attempt: int
    """Training seed of every attempt: all attempts of a run share it, so that they differ by their data
    only and resubmitting brings no new draw."""
    headline: tuple[int, ...]
    """Fresh training seeds of the sealed headline."""


class RunSpec(Entry):
    """``run.json``: everything that was decided before the agent started."""

    format: int
    run_id: str
    created: str
    """ISO 8601, UTC."""
    task: TaskConfig
    """Fully resolved, overrides applied."""
    task_provider: Provided
    overrides: tuple[str, ...]
    agent: AgentUsed
    model: ModelUsed | None = None
    scaffold: ScaffoldUsed
    engine: str
    seeds: Seeds
    assets_digest: str
    pool_digest: str
    recipe_digest: str
    image: ImageUsed
    runtime: str | None = None
    """OCI runtime of the run's containers, as the engine knows it; none: the engine's own."""
    code: CodeRevision
    packages: dict[str, str]
    """Version of every installed distribution that training, scoring or the harness itself uses."""
    package_digests: dict[str, str] = {}
    """SHA-256 over each one's own list of its files and their digests; those without such a list are not here."""
    hardware: Hardware
    published: tuple[Published, ...] = ()
    """Scores that others published for this task."""
    reproduce_policy: bool = False
    """Whether the host ran every submitted policy again: the scaffold asks for it, or ``--reproduce-policy``."""
    audit: AuditCounts | None = None
    """Rows of the pool that hold benchmark items, and so were nobody's to choose; none: the pool was not audited."""
    scoring: Scoring | None = None
    """None in records of versions that did not note it."""


class Truth(Entry):
    """A selection against planted truth."""

    precision: float
    """Good rows among the selected."""
    recall: float
    """Good rows selected, as a share of the good rows that could have been (at most ``rows_max``)."""


class ReproductionKept(Entry):
    """What came of running a submitted policy again."""

    ok: bool
    seconds: float
    """Wall time of the policy's run."""
    functions: tuple[str, ...]
    """What was entered of it, as ``file:qualified.name``, sorted."""
    digest: str | None
    """SHA-256 of the canonical selection that it made; none: it made none that could be read."""


class AttemptSubmission(Entry):
    """``attempts/NNN/submission.json``: written before the acceptance is told."""

    n: int
    key: str
    """Idempotency key of the request."""
    digest: str
    """SHA-256 of the canonical selection beside it."""
    rows: int
    note: str
    policy: tuple[PolicyFile, ...]
    accepted: str
    """ISO 8601, UTC."""
    notes: tuple[str, ...] = ()
    """What was done to the list, e.g. that it was sorted; told with the acceptance."""
    cited: tuple[str, ...] = ()
    """Ids of the method cards that the policy says it rests on, as the scaffold read them from it."""
    reproduction: ReproductionKept | None = None
    """None: the policy was not run again."""


class Timings(Entry):
    """Wall seconds of one attempt."""

    train: float
    evaluate: float
    total: float
    """From the acceptance's turn in the queue to the written result."""


class AttemptResult(Entry):
    """``attempts/NNN/result.json``: written before the feedback is told."""

    n: int
    status: Literal["scored", "failed"]
    seed: int
    public: Scores | None = None
    sealed: Scores | None = None
    """Never leaves the host."""
    truth: Truth | None = None
    train: TrainResult | None = None
    model_digest: str | None = None
    """SHA-256 over the trained model's files; `checkpoints.keep` of the task says which models stay."""
    slot: str | None = None
    timings: Timings | None = None
    feedback: Feedback | None = None
    failure: str | None = None
    """Class and message of our failure."""
    refunded: bool = False


class SeedScores(Entry):
    """``headline/attempt-NNN/seed-K/scores.json``; the item results lie beside it."""

    attempt: int
    """The attempt whose selection was trained on."""
    seed: int
    public: Scores
    sealed: Scores
    all_items: Scores
    """Both halves as one set of items."""
    model_digest: str


class Headline(Entry):
    """``headline.json``: the best attempt by public score, trained again with fresh seeds, on sealed items."""

    attempt: int
    seeds: tuple[SeedScores, ...]
    sealed: SealedScore
    public: SealedScore
    all_items: SealedScore
    """Public and sealed items together, comparable with published tables; the public part was seen."""
    analysis: Analysis | None = None
    """The headline against the references; none where there are none, or where they hold no sums."""


class Refusal(Entry):
    """``refusals/NNN.json``; ``refusals/NNN/`` has the policy, and the rows where they could be read."""

    n: int
    key: str
    problems: tuple[Problem, ...]
    more_problems: int
    refused: str
    """ISO 8601, UTC."""
    note: str = ""
    digest: str | None = None
    """SHA-256 of the canonical selection; none: it could not be read."""
    policy: tuple[PolicyFile, ...] = ()
    """Its files; kept where they are small enough together."""
    cited: tuple[str, ...] = ()
    """As in ``submission.json``."""
    reproduction: ReproductionKept | None = None
    """As in ``submission.json``."""


class ReferenceSeed(Entry):
    seed: int
    rows: int
    public: Scores
    sealed: Scores
    all_items: Scores
    """Both halves as one set of items."""
    truth: Truth | None = None


class ReferenceArm(Entry):
    name: str
    seeds: tuple[ReferenceSeed, ...]


class Origin(Entry):
    """Where an imported table comes from, in the words of who imported it."""

    measured_by: str
    model: str
    """The model that was trained, and in which revision."""
    recipe: str
    note: str = ""
    other_digests: bool = False
    """Whether it was measured on another pool or recipe, and taken over all the same."""


class ReferenceTable(Entry):
    """Measured references of one task: pool, recipe and benchmarks must be the same to compare."""

    format: int
    task: str
    pool_digest: str
    recipe_digest: str
    arms: tuple[ReferenceArm, ...]
    sums: Sums | None = None
    """What paired comparisons need; none in a table that holds scores only."""
    noise: Noise | None = None
    """What ``harness noise`` measured."""
    origin: Origin | None = None
    """None if it was measured here."""
    code: CodeRevision
    hardware: Hardware
    measured: str
    """ISO 8601, UTC."""

    def arm(self, name: str) -> ReferenceArm | None:
        return next((arm for arm in self.arms if arm.name == name), None)


class LedgerView(Entry):
    """Every budget of a run and what has been spent of it."""

    budgets: tuple[Budget, ...]
