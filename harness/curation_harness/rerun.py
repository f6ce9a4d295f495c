"""``harness rerun RUN --submissions``: train and score the same submissions again, and compare."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curation_harness import provenance
from curation_harness.errors import NothingToScore
from curation_harness.record import files
from curation_harness.record.entry import Entry
from curation_harness.record.events import now
from curation_harness.record.integrity import check_submissions
from curation_harness.record.models import AttemptResult, CodeRevision, Hardware
from curation_harness.record.store import RunRecord
from curation_harness.trial import TrialRunner
from curation_plugins import assets as task_assets
from curation_plugins.api import Progress

Verdict = Literal["equal", "within-epsilon", "differs"]


class AttemptRerun(Entry):
    n: int
    verdict: Verdict
    """``equal``: every item result and the trained model are the same byte for byte."""
    public_before: float
    public_after: float
    sealed_before: float
    sealed_after: float
    same_model: bool
    same_items: bool


class Rerun(Entry):
    """``reruns/NNN.json``."""

    run_id: str
    epsilon: float
    """Largest difference of a mean, public or sealed, that counts as ``within-epsilon``."""
    verdict: Verdict
    """The worst over the attempts."""
    attempts: tuple[AttemptRerun, ...]
    causes: tuple[str, ...]
    """What is different from when the run was made: packages, hardware, files, code."""
    code: CodeRevision
    hardware: Hardware
    packages: dict[str, str]
    made: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class SubmissionRerunner:
    """Trains and scores a run's scored attempts again, with their recorded seed."""

    record: RunRecord
    trials: TrialRunner
    epsilon: float
    progress: Progress

    def run(self) -> Rerun:
        """Rerun every scored attempt and write ``reruns/NNN.json``; the record itself is not changed.

        Raises:
            NothingToScore: no attempt was scored. RecordInvalid: a submission is not what it was. WorkFailed: we
                failed.
        """
        scored = [result for result in self.record.results() if result.status == "scored"]
        if not scored:
            raise NothingToScore(
                f"run {self.record.spec.run_id} has no scored attempt to train again",
                hint=f"`harness show {self.record.spec.run_id}` shows what it has.",
            )
        check_submissions(self.record)
        attempts = tuple(self._attempt(result) for result in scored)
        rerun = Rerun(
            run_id=self.record.spec.run_id,
            epsilon=self.epsilon,
            verdict=_worst([attempt.verdict for attempt in attempts]),
            attempts=attempts,
            causes=self._causes(),
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            packages=provenance.packages(),
            made=now(),
        )
        folder = self.record.folder / "reruns"
        folder.mkdir(exist_ok=True)
        count = len(list(folder.glob("[0-9]*.json")))
        files.write_model(folder / f"{count + 1:03d}.json", rerun)
        return rerun

    def _attempt(self, result: AttemptResult) -> AttemptRerun:
        before = self.record.attempt_folder(result.n)

        def tell(what: str, done: float) -> None:
            self.progress(f"attempt {result.n} again: {what}", done)

        with tempfile.TemporaryDirectory(prefix=".rerun-", dir=self.record.folder) as scratch:
            after = Path(scratch)
            trial = self.trials.run(self.record.selection_file(result.n), result.seed, after, tell)
            names = ("items-public.jsonl", "items-sealed.jsonl")
            same_items = all((before / name).read_bytes() == (after / name).read_bytes() for name in names)
        assert result.public is not None
        assert result.sealed is not None
        same_model = trial.model_digest == result.model_digest
        change = max(abs(trial.public.mean - result.public.mean), abs(trial.sealed.mean - result.sealed.mean))
        equal = same_items and same_model
        verdict: Verdict = "equal" if equal else "within-epsilon" if change <= self.epsilon else "differs"
        return AttemptRerun(
            n=result.n,
            verdict=verdict,
            public_before=result.public.mean,
            public_after=trial.public.mean,
            sealed_before=result.sealed.mean,
            sealed_after=trial.sealed.mean,
            same_model=same_model,
            same_items=same_items,
        )

    def _causes(self) -> tuple[str, ...]:
        spec = self.record.spec
        causes = [
            f"package {name}: {spec.packages.get(name, 'absent')} then, {version} now"
            for name, version in provenance.packages().items()
            if spec.packages.get(name) != version
        ]
        assets = self.trials.assets
        if task_assets.digest(assets) != spec.assets_digest:
            what = "pool" if task_assets.pool_digest(assets) != spec.pool_digest else "host files"
            causes.append(f"the task's {what} differ from the recorded ones")
        if provenance.recipe_digest(self.trials.task) != spec.recipe_digest:
            causes.append("the task's recipe differs from the recorded one")
        here = provenance.hardware()
        for name in ("machine", "processor", "cpus", "gpus"):
            then, today = getattr(spec.hardware, name), getattr(here, name)
            if then != today:
                causes.append(f"hardware, {name}: {then} then, {today} now")
        if provenance.code_revision() != spec.code:
            causes.append("the harness's code revision")
        return tuple(causes)


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("equal", "within-epsilon", "differs")
    return max(verdicts, key=order.index, default="equal")
