"""Everything that was handed in during a run, in order, as the diagnostics need it. The only module here that reads
a record; the rest are functions of what it gives."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from curation_harness.diagnostics.handed_in import HandedIn, Spent, handed_in
from curation_harness.errors import RecordInvalid
from curation_harness.record.models import AttemptResult, AttemptSubmission, Refusal, ReproductionKept
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import Summary, summarize
from curation_plugins import selection
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.reading import MAX_BYTES, PolicyUnreadable, read_policy
from curation_plugins.scaffolds.evidence import Quoted
from curation_plugins.scaffolds.method_file import METHOD
from curation_plugins.scaffolds.research_file import RESEARCH
from curation_sandbox.protocol import PolicyFile

Outcome = Literal["scored", "failed", "refused", "pending"]
"""``failed``: accepted, and the harness failed on it. ``pending``: accepted and not scored yet."""

DOCUMENTS: Final = (".py", ".yaml", ".yml", ".json", ".toml", ".md", ".txt")
"""Endings of a policy's files that are looked at as text."""
DOCUMENT_BYTES: Final = 100_000
"""Read of one such file; of code as much as is parsed."""


Function = tuple[str, str]
"""(file of the policy, qualified name)."""


@dataclass(frozen=True, kw_only=True)
class Quote:
    """A score that a policy's file quotes."""

    attempt: int
    benchmark: str
    """Or ``mean``."""
    score: float


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a policy says of itself in a form that can be checked."""

    file: str
    """``method.yaml`` or ``research.yaml``."""
    quotes: tuple[Quote, ...]
    functions: tuple[Function, ...]
    """Functions named for the steps of the cited cards, or as the code that was changed."""
    starts_from: int | None = None
    """The attempt that ``research.yaml`` says it changes."""


@dataclass(frozen=True, kw_only=True)
class Try:
    """One submission, accepted or refused."""

    place: int
    """Order within the run, refused ones included: 0, 1 …"""
    n: int | None
    """Number of the attempt; none: it was refused."""
    refusal: int | None = None
    outcome: Outcome
    code: PolicyCode | None
    """The policy's code as far as it can be told without running it; none: ``unreadable`` says why."""
    unreadable: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)
    """The policy's files as text: path → text."""
    note: str = ""
    claims: Claims | None = None
    """What its ``method.yaml`` or ``research.yaml`` says; none: it has neither, or none that can be read."""
    rows: array[int] | None = None
    """Chosen rows, ascending (type code ``q``); none where they are not in the record."""
    weighted: bool = False
    """Whether rows carry weights other than 1."""
    mean: float | None = None
    """Public score."""
    stderr: float | None = None
    by_benchmark: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """``code: message`` of every reason for which it was refused, or the failure of the harness."""
    cited: tuple[str, ...] = ()
    """Ids of method cards that its ``method.yaml`` names."""
    cards_read: tuple[str, ...] = ()
    """Ids of the cards that were read in the run before it."""
    functions: frozenset[Function] | None = None
    """Functions that were entered when the host ran the policy; none: it did not."""
    spent: Spent = field(default_factory=Spent)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out of it alone, so that fifty attempts are not taken apart again for every later one."""

    @property
    def name(self) -> str:
        """``attempt 3``, ``refusal 1``."""
        return f"attempt {self.n}" if self.n is not None else f"refusal {self.refusal}"


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as the diagnostics see it."""

    run_id: str
    task: str
    agent: str
    model: str | None
    scaffold: str
    status: str
    tries: tuple[Try, ...]
    afterwards: Spent = field(default_factory=Spent)
    """What the agent took after the last try."""
    sources: np.ndarray = field(default_factory=lambda: np.array([], str))
    """Source of every pool row, shape (rows,); empty where the pool is not on this machine."""
    pool_rows: int | None = None
    noise_floor: float | None = None
    """Of public scores; none: it was not measured."""
    expected_maximum: tuple[float, ...] = ()
    """Of as many random selections as attempts were scored until then, attempt by attempt; empty: not measured."""
    random_draws: int = 0
    mean_of: Mapping[Literal["public", "sealed"], str] = field(default_factory=dict)
    """What the mean over a half's benchmarks is called; empty in records that do not say."""
    """Measured random selections behind that."""
    sealed: float | None = None
    """The run's headline; none: it has none."""
    sealed_stderr: float | None = None


def read_run(record: RunRecord, sources: Sequence[str] | np.ndarray = ()) -> RunView:
    """Read a record.

    Args:
        sources: source of every row of the pool, where it is known.

    Raises:
        RecordInvalid: a file of the record is missing or damaged.
    """
    told, afterwards = handed_in(record)
    summary = summarize(record)
    search = summary.random_search
    return RunView(
        run_id=summary.run_id,
        task=summary.task,
        agent=_agent(record),
        model=summary.model,
        scaffold=summary.scaffold,
        status=status(record),
        tries=_tries(record, summary, told),
        afterwards=afterwards,
        sources=np.asarray(sources, str),
        pool_rows=len(sources) or None,
        noise_floor=summary.noise_floor,
        expected_maximum=search.expected_maximum if search else (),
        mean_of=summary.mean_of,
        random_draws=search.draws if search else 0,
        sealed=summary.sealed.mean if summary.sealed else None,
        sealed_stderr=summary.sealed.stderr if summary.sealed else None,
    )


def _agent(record: RunRecord) -> str:
    """The agent's name; with what it was told to be, since any program can be the agent ``command``."""
    used = record.spec.agent
    return f"{used.name} ({used.agent_arg})" if used.agent_arg else used.name


def _tries(record: RunRecord, summary: Summary, told: Sequence[HandedIn]) -> tuple[Try, ...]:
    submissions = {submission.n: submission for submission in record.submissions()}
    known = {line.n for line in summary.attempts}  # one accepted while this ran is in the next report
    refusals = {refusal.n: refusal for refusal in record.refusals()}
    found: list[Try] = []
    for one in told:
        if one.kind == "refused":
            if one.n in refusals:
                found.append(_refused(record, refusals[one.n], len(found), one))
        elif not record.attempt_folder(one.n).is_dir():
            raise RecordInvalid(
                f"{record.attempt_folder(one.n)}: missing, and its attempt was accepted",
                hint="The record is incomplete.",
            )
        elif one.n in submissions.keys() & known:
            found.append(_attempt(record, submissions[one.n], len(found), one))
    _complete(record, summary, {one.n for one in found})
    return tuple(found)


def _complete(record: RunRecord, summary: Summary, found: Set[int | None]) -> None:
    """Every attempt with a result has its event, since that is written first; else the order of tries is lost."""
    lost = [line.n for line in summary.attempts if line.status != "pending" and line.n not in found]
    if lost:
        raise RecordInvalid(
            f"{record.folder / 'events.jsonl'}: no event tells attempt {lost[0]} was accepted, but it has a result",
            hint="The record was changed or damaged.",
        )


def _attempt(record: RunRecord, submission: AttemptSubmission, place: int, told: HandedIn) -> Try:
    folder = record.attempt_folder(submission.n)
    result = record.result(submission.n)
    files, code, unreadable = _policy(folder, submission.policy)
    rows, weighted = _rows(record.selection_file(submission.n), needed=True)
    public = result.public if result else None
    host = result.timings.total if result and result.timings else 0.0
    again = submission.reproduction
    return Try(
        place=place,
        n=submission.n,
        outcome=_outcome(result),
        code=code,
        unreadable=unreadable,
        documents=read_documents(files),
        note=submission.note,
        claims=claims(files),
        rows=rows,
        weighted=weighted,
        mean=public.mean if public else None,
        stderr=public.stderr if public else None,
        by_benchmark={name: score.mean for name, score in public.by_benchmark.items()} if public else {},
        problems=(result.failure,) if result and result.failure else (),
        cited=submission.cited,
        cards_read=told.cards_read,
        functions=_entered(again) if again else None,
        spent=told.spent.plus(Spent(host_seconds=host)),
    )


def _entered(kept: ReproductionKept) -> frozenset[Function]:
    parts = (name.partition(":") for name in kept.functions)
    return frozenset((file, qualname) for file, _, qualname in parts)


def _outcome(result: AttemptResult | None) -> Outcome:
    if result is None:
        return "pending"
    return "failed" if result.status == "failed" else "scored"


def _refused(record: RunRecord, refusal: Refusal, place: int, told: HandedIn) -> Try:
    folder = record.refusal_folder(refusal.n)
    files, code, unreadable = _policy(folder, refusal.policy)
    rows, weighted = _rows(record.refused_file(refusal.n), needed=False)
    return Try(
        place=place,
        n=None,
        refusal=refusal.n,
        outcome="refused",
        code=code,
        unreadable=unreadable,
        documents=read_documents(files),
        note=refusal.note,
        claims=claims(files),
        rows=rows,
        weighted=weighted,
        problems=tuple(f"{problem.code}: {problem.message}" for problem in refusal.problems),
        cited=refusal.cited,
        cards_read=told.cards_read,
        spent=told.spent,
    )


# -- files -----------------------------------------------------------------------------------------


def _policy(folder: Path, handed: Sequence[PolicyFile]) -> tuple[dict[str, Path], PolicyCode | None, str]:
    """A policy's files as far as the record holds them, and its code or why there is none. Of a refused one that was
    large only the list was kept."""
    files = _files(folder / "policy", [file.path for file in handed])
    gone = [file.path for file in handed if file.path.endswith(".py") and file.path not in files]
    if gone:
        return files, None, f"{gone[0]}: not in the record"
    return files, *read_code(files)


def _files(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Plain files of a policy. A record may come from elsewhere, so a link anywhere inside it is not followed."""
    base = folder.resolve()
    found: dict[str, Path] = {}
    for name in names:
        path = base / name
        try:
            if path.resolve() == path and stat.S_ISREG(path.lstat().st_mode):
                found[name] = path
        except OSError:
            continue
    return found


def read_code(files: Mapping[str, Path]) -> tuple[PolicyCode | None, str]:
    """A policy's code, or why there is none."""
    if not any(name.endswith(".py") for name in files):
        return None, "the policy holds no Python file"
    try:
        code = read_policy(files)
    except PolicyUnreadable as error:
        return None, "; ".join(problem.message for problem in error.problems)
    if not code.features:
        return None, "the policy's code computes nothing that is seen to decide a row"
    return code, ""


def claims(files: Mapping[str, Path]) -> Claims | None:
    """Read what a policy says of itself.

    Args:
        files: path within the policy → copy on the host.
    """
    method = METHOD.read(files).value
    if method is not None:
        named = tuple(step.named for step in method.steps if step.named is not None)
        return Claims(file=METHOD.name, quotes=_quotes(method.evidence), functions=named)
    research = RESEARCH.read(files).value
    if research is None:
        return None
    parts = (name.partition(":") for name in research.change.functions)
    return Claims(
        file=RESEARCH.name,
        quotes=_quotes(research.evidence),
        functions=tuple((file, qualname) for file, _, qualname in parts),
        starts_from=research.change.attempt,
    )


def _quotes(quoted: Sequence[Quoted]) -> tuple[Quote, ...]:
    return tuple(Quote(attempt=one.attempt, benchmark=one.benchmark, score=one.score) for one in quoted)


def read_documents(files: Mapping[str, Path]) -> dict[str, str]:
    """The files of a policy as text, as far as they are looked at."""
    found: dict[str, str] = {}
    for name, path in files.items():
        if name.endswith(DOCUMENTS):
            with path.open("rb") as file:
                most = MAX_BYTES if name.endswith(".py") else DOCUMENT_BYTES
                found[name] = file.read(most).decode("utf-8-sig", "replace")
    return found


def _rows(path: Path, *, needed: bool) -> tuple[array[int] | None, bool]:
    if not needed and not path.is_file():
        return None, False
    try:
        chosen = selection.read_canonical(path)
    except (OSError, ValueError) as error:
        raise RecordInvalid(f"{path}: no selection ({error})", hint="The record was changed or damaged.") from None
    return chosen.rows, bool(np.any(np.frombuffer(chosen.weights) != 1.0))
