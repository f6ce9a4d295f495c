"""The base classes a plugin author subclasses: ``Task``, ``Agent``, ``Scaffold``, ``Engine``.

Instances are handed over through the hooks in ``curation_plugins.hookspecs``. Importing this module, and
constructing any of these, is cheap: no torch, no docker; heavy imports belong in worker modules.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, JsonValue

from curation_plugins import references as reference_selections
from curation_plugins import selection as selections
from curation_plugins.config import AuditCounts, Frozen, Published, SubmissionRules, TaskConfig
from curation_plugins.gating import GateView
from curation_plugins.hub.wanted import Want
from curation_plugins.jobs import Aggregate, ItemResult, Role, Split, WorkerSpec
from curation_plugins.selection import Selection
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.protocol import Problem, SignalInfo
from curation_sandbox.spec import Mount

if TYPE_CHECKING:  # neither is loaded where a plugin is imported
    import numpy as np

    from curation_plugins.methods.library import MethodLibrary

Progress = Callable[[str, float], None]
"""``progress(what, done)``: a phrase for a reader and the share done in [0, 1]."""

OnEvent = Callable[[str, Mapping[str, JsonValue]], None]
"""``on_event(name, details)``, see ``Engine.open``."""

SignalValue = float | tuple[float, ...] | None
"""What a signal gives for one row; none: it is not defined for it."""

ResultT = TypeVar("ResultT", bound=BaseModel)


class Task(ABC):
    """One task: its files, what the agent sees and hands in, how it is trained and scored.

    A subclass sets nothing at class level but methods; the numbers are in ``config``. ``prepare`` runs once
    for an ``assets_key``; everything after it only reads.
    """

    config_class: ClassVar[type[TaskConfig]] = TaskConfig

    def __init__(self, config: TaskConfig) -> None:
        self.config = config

    @property
    def name(self) -> str:
        return self.config.name

    def with_config(self, config: TaskConfig) -> Self:
        """The same task under other numbers (``--set``)."""
        return type(self)(config)

    @abstractmethod
    def brief(self) -> str:
        """Markdown for the agent: what is trained, how it is scored, what the pool holds, what to hand in."""

    @abstractmethod
    def assets_key(self) -> str:
        """Names the assets by what they are made from; other settings, other key.

        Lower-case letters, digits and dashes: it becomes a folder name in the cache.
        """

    @abstractmethod
    def prepare(self, folder: Path, progress: Progress) -> None:
        """Make or obtain everything into ``folder``, which is new and empty.

        ``folder/pool`` is what the agent sees (mounted read-only at ``/pool``); whatever else there is
        (model, benchmark items, planted truth) stays on the host. The harness hashes the result into a
        manifest and renames it into place, so an interrupted ``prepare`` leaves nothing half-made.

        What ``downloads`` names is there as ``folder/downloads/NAME``, with the note of its fetch as ``NAME.json``
        (``curation_plugins.hub.store.Fetched``); that folder is removed afterwards. Link, do not copy.
        """

    def downloads(self) -> Sequence[Want]:
        """What ``harness fetch`` brings before ``prepare`` can run; nothing by default."""
        return ()

    def lacking(self) -> Sequence[str]:
        """What the task's files need, or point to, that is not there and that no fetch brings: a line each, with its
        size and what to do about it; nothing by default."""
        return ()

    @abstractmethod
    def pool_rows(self, assets: Path) -> int:
        """How many rows the pool has; their ids are 0 … rows-1."""

    def parse_submission(
        self, data: Path, assets: Path, rules: SubmissionRules | None = None, any_row: bool = False
    ) -> Selection:
        """Read a file of an agent's: a submission, what its policy made again, or the rows of a signal.

        The file is hostile and may be anything. A task of kind ``rows`` has nothing to do; every other overrides this
        (kind ``uids``: ``curation_plugins.uid_lists``).

        Args:
            rules: none: those of the task's configuration.
            any_row: whether rows may be named that nobody may choose: a signal may be asked of them, too.

        Raises:
            SubmissionRefused: with every reason and, where it concerns one, its line.
        """
        rules = rules or self.config.submission
        if rules.kind != "rows":
            raise NotImplementedError(f"{type(self).__name__} takes submissions of kind {rules.kind} and reads none")
        excluded = frozenset() if any_row else self.excluded(assets)
        return selections.parse(data, rules, self.pool_rows(assets), excluded)

    def write_submission(self, selection: Selection, path: Path, assets: Path) -> None:
        """Write a file that ``parse_submission`` reads as this selection, in the form that agents hand in: what a
        policy finds of its earlier attempts at ``/history``. For kind ``rows`` the canonical form is one."""
        selection.write(path)

    def excluded(self, assets: Path) -> frozenset[int]:
        """Rows that nobody may choose, e.g. those that hold benchmark items; none by default. A submission that names
        one is refused, and no reference picks one."""
        return frozenset()

    def audited(self, assets: Path) -> AuditCounts | None:
        """What the audit of the pool found, in numbers, for the record; none: the pool was not audited."""
        return None

    @abstractmethod
    def worker(self, role: Role) -> WorkerSpec:
        """The worker process that does this role's jobs."""

    def signals(self) -> tuple[SignalInfo, ...]:
        """Signals the agent can ask for with ``curate signal``; none by default."""
        return ()

    def signal_missing(self, name: str, assets: Path) -> str | None:
        """Why a signal of ``signals`` cannot be had from these files; none: it can."""
        return None

    def shipped_signals(self) -> Mapping[str, Want | None]:
        """Signals that ``harness signals`` measures over the whole pool, to be shipped with it → the model that each
        is measured with; none: the base model. The worker of the role ``signal`` measures them; they need not be
        among ``signals``."""
        return {}

    def write_signals(self, assets: Path, measured: Mapping[str, Iterable[SignalValue]], folder: Path) -> None:
        """Write what ships as ``pool/signals`` into the empty ``folder``.

        Args:
            measured: for each of ``shipped_signals`` one value per row, in order. The files are as ``prepare`` left
                them; what was in ``pool/signals`` before is replaced.
        """
        raise NotImplementedError(f"{type(self).__name__} ships signals and does not write them")

    def sources(self, assets: Path) -> Sequence[str] | np.ndarray | None:
        """Source name of every row, by id, for the report's source mix; none if the pool has no sources. Large pools
        give an array of strings of shape (rows,)."""
        return None

    def metadata(self, assets: Path) -> Mapping[str, np.ndarray]:
        """What the pool says of its rows directly: name → array of shape (rows,), by row id. ``source`` (strings),
        ``length`` (characters of text) and ``turns`` (numbers) mean the same in every task; others may be added.

        Gates read it, to tell a selection made by such columns alone. By default ``source`` where there are sources.
        """
        import numpy as np

        sources = self.sources(assets)
        return {} if sources is None else {"source": np.array(sources)}

    def truth(self, assets: Path) -> Sequence[bool] | np.ndarray | None:
        """Planted truth, by row id: whether a row is good. None where there is none. Never shown to an agent. Large
        pools give a boolean array of shape (rows,)."""
        return None

    def reference_rows(self, name: str, seed: int, assets: Path) -> Sequence[int] | np.ndarray | None:
        """Rows of the reference selection ``name`` of ``config.references`` under ``seed``.

        None means the base model, untrained. The names known here are in ``curation_plugins.references``; a
        task with names of its own overrides this.
        """
        return reference_selections.rows(
            name,
            seed,
            pool_rows=self.pool_rows(assets),
            rows_max=self.config.submission.rows_max,
            sources=self.sources(assets),
            truth=self.truth(assets),
            excluded=self.excluded(assets),
        )

    def checkpoint_bytes(self, assets: Path) -> int | None:
        """About how many bytes one trained model takes on disk; none: too few to plan for. The task's files may not
        be there yet."""
        return None

    def applied_recipe(self) -> Mapping[str, JsonValue]:
        """``config.recipe`` for a reader: without what none of its work reads."""
        return self.config.recipe

    def needs(self) -> Needs | None:
        """What the task's work takes, for ``--dry-run``; none: too little to tell."""
        return None

    def scoring_identity(self) -> Mapping[str, JsonValue]:
        """What of ``config.evaluation`` decides over scores. Scores compare only where it is equal; addresses,
        waiting times and shares of memory do not belong in it."""
        return dict(self.config.evaluation)

    def require_ready(self) -> None:  # noqa: B027 - most tasks lack nothing
        """Looks, in moments, whether trained models could be scored at all under this configuration on this machine.

        Called before anything is started or measured. What is missing only costs hours later: a judge's address or
        key, another interpreter.

        Raises:
            ConfigInvalid: naming what is missing and what to set.
        """

    def aggregates(self) -> Mapping[str, Aggregate]:
        """How a benchmark's score is made of its metrics, where that is not their unweighted mean: ``worst`` is the
        lowest of them (the worst region, the worst group)."""
        return {}

    def mean_name(self, benchmarks: Sequence[str]) -> str:
        """What the mean over these of the task's benchmarks is called wherever it is told: it must not pass for that
        of a published table that has more of them."""
        return f"mean over {len(benchmarks)} benchmark{'' if len(benchmarks) == 1 else 's'}"

    def rescore(self, predictions: Path, split: Split, assets: Path) -> Iterator[ItemResult] | None:
        """The items of a half, scored again from what the model said and from the task's files: for ``harness
        verify``. No model, accelerator, network or judge is asked.

        Args:
            predictions: what the evaluator wrote as ``EvaluateJob.predictions``; it may have been changed since.

        Returns:
            Item results as the evaluator wrote them, in its order; none: they cannot be had in this way.

        Raises:
            WorkerReplyInvalid: the predictions are not in the evaluator's form, or not of the half's items.
        """
        return None

    def sealed_benchmarks(self) -> tuple[str, ...]:
        """Benchmarks without public items: feedback and public means are made without them, sealed means with them.
        At least one benchmark must be left."""
        return ()

    def graded(self) -> tuple[str, ...]:
        """The benchmarks whose scores are a judge's opinion; the report shows the mean without them, too."""
        return ()

    def published(self) -> tuple[Published, ...]:
        """Scores that others published for exactly this task; none by default."""
        return ()

    def references_file(self) -> Path | None:
        """A reference table that ships with the task (``harness references --export``); none by default."""
        return None

    def row_card(self, row: int, assets: Path) -> RowCard | None:
        """A row as a reader would see it in the report; none if rows cannot be shown."""
        return None


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Estimates of what a task's work takes. ``how`` says where each figure comes from."""

    disk: int
    """Bytes of the task's files, downloads included."""
    host_memory: int
    """Bytes of main memory that the worker needs."""
    cards: int
    """Accelerators of one training."""
    device_memory: int
    """Bytes of memory on each of them."""
    device_memory_name: str
    """How that is spent, e.g. the recipe's precision."""
    train_flop: float
    """Floating-point operations of one training on the largest selection."""
    evaluate_flop: float
    """Those of one evaluation on all items."""
    how: Mapping[str, str]
    """Figure to formula and source."""
    instead: tuple[SmallerNeeds, ...] = ()
    """Settings under which a card of 80 GB, or several, would do; the least memory a card first."""


@dataclass(frozen=True, kw_only=True)
class SmallerNeeds:
    """Settings that need less of each accelerator, and what they need."""

    setting: str
    """As ``--set`` takes it."""
    what: str
    """What they are, in a few words."""
    cards: int
    device_memory: int
    """Bytes on each."""


@dataclass(frozen=True, kw_only=True)
class RowCard:
    """One pool row for the report: text turns and at most one image."""

    row: int
    turns: tuple[tuple[str, str], ...]
    """(who, what) in order."""
    image: bytes | None = None
    """PNG or JPEG bytes."""
    source: str = ""


class AgentOptions(Frozen):
    """Settings of one agent plugin; a plugin with any subclasses this."""


@dataclass(frozen=True)
class ModelChoice:
    """The model an agent is to use, as it is asked for through the gateway."""

    name: str
    """The model's name at the provider; what the agent's program puts into its requests."""
    provider: str
    """E.g. ``anthropic``; the gateway knows its address, the container does not."""
    wire: Wire
    """The wire format to speak: the first of the agent's ``wires`` that the provider has."""
    small: str
    """The model for small side jobs (titles, summaries): ``--small-model``, or the same as ``name``."""


@dataclass(frozen=True, kw_only=True)
class AgentRequest:
    """What an agent plugin knows when it is asked for its launch."""

    task: Task
    assets: Path
    """The task's files. An agent is asked once before they are made, to check its options and its image."""
    seed: int
    """For the agent's own randomness."""
    iterations: int
    agent_dir: Path | None = None
    """``--agent-dir``: a folder of the user's."""
    agent_arg: str | None = None
    """``--agent-arg``: a string whose meaning the agent defines."""
    model: ModelChoice | None = None
    """``--model``; none: the run has no gateway."""
    gateway: str = "http://127.0.0.1:8123"
    """Where the gateway answers inside the container, without the path's ``/v1``. Any key will do; it drops them."""
    prompt: str = ""
    """What the agent is told: brief, rules, budgets and how to submit."""
    session: str = "00000000-0000-0000-0000-000000000000"
    """A UUID of the run, for programs that let a conversation be named."""
    options: AgentOptions = field(default_factory=AgentOptions)
    """``--agent-option``: an instance of the agent's ``options_class``."""


class AgentLaunch(Frozen):
    """How an agent is started in its container."""

    command: tuple[str, ...]
    """argv; the working directory is ``/workspace``. Its stdin is closed."""
    image: str = "base"
    """The agent's own image: a name under ``images/``. It is built on the task's image where that is not ``base``."""
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    """Text files to put into the agent's home before it starts: path relative to HOME → content."""
    mounts: tuple[Mount, ...] = ()
    """Further read-only folders, e.g. the agent's own program."""
    interactive: bool = False
    """A person sits at the terminal."""


class Agent(ABC):
    """Something that looks at a pool and submits: a program that runs inside the container.

    A program is run in turns: one ``launch``, and, when it stops early with iterations left or the run is resumed,
    ``proceed`` again and again, each in a fresh container with the same workspace and home.
    """

    name: str
    summary: str
    """One line for ``harness agents``."""
    wires: ClassVar[tuple[Wire, ...]] = ()
    """Wire formats its program speaks, the preferred first; empty: it uses no model, and ``--model`` is refused."""
    needs_model: ClassVar[bool] = False
    """Whether it cannot run without ``--model``."""
    aliases: ClassVar[tuple[tuple[str, Literal["main", "small"]], ...]] = ()
    """Shell patterns of further model names its program asks for (for sub-agents, titles and the like), and which of
    the run's models the gateway takes each to mean; the first match counts."""
    options_class: ClassVar[type[AgentOptions]] = AgentOptions
    """What ``--agent-option`` may set; each field is documented where it is defined."""
    session_files: ClassVar[tuple[str, ...]] = ()
    """Shell patterns, relative to HOME, of the program's own session log; kept with the record."""

    @abstractmethod
    def launch(self, request: AgentRequest) -> AgentLaunch:
        """How to start it.

        Raises:
            ConfigInvalid: an option is missing or makes no sense for this agent.
        """

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        """How to go on in the same conversation, telling it ``message``; None: it cannot be continued."""
        return None

    def is_final(self, line: bytes) -> bool:
        """Whether a line of its output says that its turn is over. A program that lingers after it is ended.

        The line comes from the container and may be anything.
        """
        return False

    def readable(self, line: bytes) -> str | None:
        """What of a line of its output is shown to a person who watches; None: nothing.

        The line comes from the container and may be anything; what is shown is made safe by whoever shows it.
        """
        return line.decode("utf-8", "replace")

    def threads(self, folder: Path) -> Mapping[str, str]:
        """Which sub-agent made which model reply, by the native log: id of a reply or of a tool call → the
        sub-agent's name. What is not named belongs to the main conversation.

        ``folder`` holds copies of ``session_files`` under their paths in HOME; their content is the agent's and may
        be anything.
        """
        return {}


class Scaffold(ABC):
    """Working instructions and submission rules an agent is put under.

    What it demands is enforced in ``gate``, on the host. A rule that nothing enforces is not written down.
    """

    name: str
    summary: str
    version: str
    reproduces: ClassVar[bool] = False
    """Whether the host runs each submitted policy again in a fresh container and refuses one that does not make the
    same selection. ``--reproduce-policy`` asks for it under any scaffold."""

    @abstractmethod
    def rules(self, task: Task) -> str:
        """Markdown the agent reads beside the brief."""

    @abstractmethod
    def gate(self, submission: GateView) -> Sequence[Problem]:
        """Reasons to refuse a submission, all of them; empty when it may pass.

        Called once for a submission whose rows could be read, after it was reproduced (where that is asked for), and
        for nothing else; it must not keep state of its own.
        """

    def cards(self) -> MethodLibrary | None:
        """The method cards that ``curate methods`` shows; none: the command says that there are none."""
        return None

    def cites(self, policy: Mapping[str, Path]) -> tuple[str, ...]:
        """Ids of the method cards that a policy says it rests on, for the record and for ``EarlierTry.cited``. The
        files may be anything: what cannot be read cites nothing, and never raises."""
        return ()

    def sources(self) -> Sequence[Path]:
        """The files whose bytes decide what ``gate`` says; by default those of the modules that define the class and
        its bases. A scaffold whose gate uses more names more."""
        files = (inspect.getsourcefile(base) for base in type(self).__mro__ if base not in (Scaffold, ABC, object))
        return tuple(Path(file) for file in dict.fromkeys(files) if file is not None)

    def digest(self, task: Task) -> str:
        """SHA-256 over everything of this scaffold that decides a run: name, version, rules, cards, gate. A run that
        began under one digest does not go on under another."""
        cards = self.cards()
        parts = [self.name, self.version, self.rules(task), "" if cards is None else cards.digest()]
        parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.sources()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class EngineSession(ABC):
    """One run's workers on an engine. A context manager: leaving it ends every worker."""

    @abstractmethod
    def call(
        self, spec: WorkerSpec, role: Role, job: BaseModel, result: type[ResultT], progress: Progress
    ) -> ResultT:
        """Do one job and return its checked result.

        Waits for a slot, starts the worker or uses the warm one, retries once with a fresh worker after a
        failure of ours.

        What a failed try left in the job's ``out`` is removed before the second one. It may be called from several
        threads.

        Raises:
            WorkFailed: it failed twice; the subclass says how.
            WorkStopped: the session was closed meanwhile.
        """

    @abstractmethod
    def slot(self) -> str:
        """Name of the slot of this thread's last job, for the record, e.g. ``cpu-0`` or ``gpu-0``."""

    def side_by_side(self) -> int:
        """How many jobs it can have under way at once, each called for by a thread of its own."""
        return 1

    @abstractmethod
    def close(self) -> None:
        """End every worker."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Engine(ABC):
    """Where workers run: this machine's slots, or a cluster."""

    name: str
    summary: str

    @abstractmethod
    def open(self, *, run_id: str, log: Path, config: TaskConfig, on_event: OnEvent | None = None) -> EngineSession:
        """Begin a run's work. Workers' stdout and stderr are appended to the file ``log``.

        ``on_event(name, details)`` is told what the record should hold of the workers: ``slot-taken``,
        ``worker-started``, ``worker-ended``, ``job-done``, ``job-failed``. The details are plain JSON values.
        It may be called from any thread that calls the session.
        """
