"""``harness rerun RUN --submissions``: train and score the same submissions again, and compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curation_harness import provenance
from curation_harness.attempts.headline import items_folder
from curation_harness.attempts.trial import TrialRunner
from curation_harness.errors import NothingToScore
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.integrity import check_submissions
from curation_harness.record.models import AttemptResult, Headline
from curation_harness.record.state import best
from curation_harness.record.store import RunRecord
from curation_harness.record.sums import HALVES
from curation_harness.rerun import causes, comparing, numbers
from curation_harness.rerun.comparing import Scored
from curation_harness.rerun.stages import Rerun, Stage, explained, worst
from curation_plugins.api import Progress


@dataclass(frozen=True)
class SubmissionRerunner:
    """Trains and scores a run's scored attempts again, with their recorded seeds, and then its headline."""

    record: RunRecord
    trials: TrialRunner
    epsilon: float
    progress: Progress
    folder: Path
    """New and empty; what is scored again is kept in it where it comes out otherwise. The verdict is written beside
    it, with the suffix ``.json``."""

    def run(self) -> Rerun:
        """
        Raises:
            NothingToScore: no attempt was scored. RecordInvalid: a submission is not what it was. WorkFailed: we
                failed.
        """
        results = [result for result in self.record.results() if result.status == "scored"]
        if not results:
            raise NothingToScore(
                f"run {self.record.spec.run_id} has no scored attempt to train again",
                hint=f"`harness show {self.record.spec.run_id}` shows what it has.",
            )
        check_submissions(self.record)
        stages: list[Stage] = []
        means: dict[int, float] = {}
        for result in results:
            means[result.n] = self._attempt(result, stages)
        if (recorded := self.record.headline()) is not None:
            again = best(tuple(_with_mean(result, means[result.n]) for result in results))
            assert again is not None
            stages += self._headline(recorded, again.n)
        rerun = self._verdict(stages)
        if rerun.verdict == "equal":
            numbers.withdraw(self.folder)  # the record has the very same files
        files.write_model(self.folder.with_suffix(".json"), rerun)
        return rerun

    def _verdict(self, stages: list[Stage]) -> Rerun:
        spec = self.record.spec
        found = causes.between(spec, causes.here(spec, self.trials.task, self.trials.assets))
        return Rerun(
            kind="submissions",
            run_id=spec.run_id,
            epsilon=self.epsilon,
            verdict=worst(stages),
            stages=explained(stages, found),
            causes=found,
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            packages=provenance.packages(),
            made=now(),
        )

    def _attempt(self, result: AttemptResult, stages: list[Stage]) -> float:
        """Its stages are added; its public mean now."""
        then = of_attempt(self.record, result)
        here = self._again(result.n, result.seed, f"attempt-{result.n:03d}", f"attempt {result.n} again")
        moved = causes.of_slot(result.slot, self.trials.session.slot())
        stages.append(comparing.trained(result.n, then, here, self.epsilon, why=moved))
        stages += (comparing.scored(result.n, half, then, here, self.epsilon) for half in HALVES)
        return here.public.mean

    def _headline(self, recorded: Headline, best_now: int) -> Iterator[Stage]:
        then = of_headline(self.record, recorded)
        again = []
        for k, (seed, one) in enumerate(zip(recorded.seeds, then, strict=True), start=1):
            what = f"headline again, seed {k} of {len(then)}"
            again.append(self._again(recorded.attempt, seed.seed, f"headline-{k}", what))
            yield comparing.trained(recorded.attempt, one, again[-1], self.epsilon, part=f"headline seed {k}")
        yield comparing.headline((recorded.attempt, best_now), then, again, self.epsilon)

    def _again(self, n: int, seed: int, name: str, what: str) -> Scored:
        folder = self.folder / name
        folder.mkdir()

        def tell(doing: str, done: float) -> None:
            self.progress(f"{what}: {doing}", done)

        trial = self.trials.run(self.record.selection_file(n), seed, folder, tell)
        return Scored(folder, trial.model_digest, trial.public, trial.sealed)


def of_attempt(record: RunRecord, result: AttemptResult) -> Scored:
    """A recorded attempt that was scored."""
    assert result.public is not None
    assert result.sealed is not None
    return Scored(record.attempt_folder(result.n), result.model_digest, result.public, result.sealed)


def of_headline(record: RunRecord, headline: Headline) -> list[Scored]:
    """A recorded headline, seed by seed."""
    return [
        Scored(items_folder(record, headline.attempt, k), seed.model_digest, seed.public, seed.sealed)
        for k, seed in enumerate(headline.seeds, start=1)
    ]


def _with_mean(result: AttemptResult, mean: float) -> AttemptResult:
    assert result.public is not None
    return result.model_copy(update={"public": result.public.model_copy(update={"mean": mean})})
