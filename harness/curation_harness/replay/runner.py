"""``harness rerun RUN --replay``: the recorded agent once more, and what came of it beside what came of it then."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from curation_harness import provenance
from curation_harness.interruption import interruptible
from curation_harness.model_desk import Denied
from curation_harness.plan import Plan
from curation_harness.providers import pins
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.integrity import check_submissions
from curation_harness.record.models import AttemptSubmission, ImageUsed
from curation_harness.record.store import RunRecord
from curation_harness.replay.source import RecordedSource
from curation_harness.replay.verdict import Replay, SubmissionReplay
from curation_harness.reproduction.runner import ContainerRunner
from curation_harness.run import Parts, RunLoop
from curation_harness.seat import ModelLine
from curation_harness.watcher import Watcher
from curation_sandbox.gateway.exchange import Ask


@dataclass(frozen=True)
class Replayer:
    """Replays one run; the record of the run itself is not changed."""

    record: RunRecord
    plan: Plan
    """The recorded one."""
    image: ImageUsed
    """The image that is here under the recorded name."""
    assets: Path
    cache: Path
    watcher: Watcher

    def run(self) -> Replay:
        """Run the agent against the record and write ``reruns/NNN-replay.json``.

        Raises:
            RecordInvalid: a file of the record that the replay rests on is damaged; nothing is started then.
            CurationError: the container or a server of ours cannot be started.
            KeyboardInterrupt: it was interrupted, and nothing is written.
        """
        check_submissions(self.record)
        source = RecordedSource(ExchangeLog(self.record.folder))
        folder = self._new_folder()
        try:
            return self._replay(folder, source)
        except KeyboardInterrupt:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _new_folder(self) -> Path:
        """With a number that no rerun has, finished or killed: what a killed one left may still be mounted."""
        reruns = self.record.folder / "reruns"
        taken = {path.name[:3] for path in reruns.glob("[0-9][0-9][0-9]*")}
        number = next(number for number in count(1) if f"{number:03d}" not in taken)
        folder = reruns / f"{number:03d}-replay"
        folder.mkdir(parents=True)
        return folder

    def _replay(self, folder: Path, source: RecordedSource) -> Replay:
        # the same run id as then: the agent sees it
        replayed = RunRecord.create(folder, self.record.spec, self.record.references())
        line = self._line(source)
        parts = Parts(
            record=replayed,
            task=self.plan.task,
            scaffold=self.plan.scaffold,
            engine=self.plan.engine,
            assets=self.assets,
            cache=self.cache,
            watcher=self.watcher,
            replayed=self.record,
            policies=self._policies(),
        )
        try:
            with RunLoop(parts) as loop, interruptible(loop.stop):
                loop.agent_phase(self.plan.seat(self.assets, self.image, line))
                loop.work_through()
                if loop.stopping:  # half a replay says nothing
                    raise KeyboardInterrupt
            if source.damage is not None:
                raise source.damage
        finally:
            shutil.rmtree(replayed.folder / "volumes", ignore_errors=True)
        replay = self._verdict(replayed, source)
        files.write_model(folder.with_suffix(".json"), replay)
        return replay

    def _policies(self) -> ContainerRunner:
        limits = self.record.spec.task.limits
        return ContainerRunner(self.record.spec.run_id, self.image.digest, self.assets / "pool", limits)

    def _line(self, source: RecordedSource) -> ModelLine | None:
        used = self.record.spec.model
        if used is None:
            return None
        spent = (str(event.data["budget"]) for event in self.record.events.of("budget-spent"))
        budget = next((name for name in spent if name.startswith("model ")), "model")

        def denied(ask: Ask) -> Denied | None:
            words = source.denied(ask)
            return None if words is None else Denied(budget, words)

        return ModelLine(used=used, pins=pins(used, self.plan.agent), source=source, denied=denied)

    def _verdict(self, replayed: RunRecord, source: RecordedSource) -> Replay:
        submissions = self._submissions(replayed)
        refusals = (len(self.record.refusals()), len(replayed.refusals()))
        left = source.left()
        followed = not left and all(request.recorded is not None for request in source.requests)
        equal = refusals[0] == refusals[1] and all(submission.equal for submission in submissions)
        if not submissions:
            equal = equal and followed
        return Replay(
            run_id=self.record.spec.run_id,
            verdict="equal" if equal else "differs",
            submissions=submissions,
            refusals=refusals,
            requests=tuple(source.requests),
            not_asked=left,
            causes=self._causes(),
            record=str(replayed.folder.relative_to(self.record.folder / "reruns")),
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            packages=provenance.packages(),
            made=now(),
        )

    def _submissions(self, replayed: RunRecord) -> tuple[SubmissionReplay, ...]:
        then = {submission.n: submission for submission in self.record.submissions()}
        now_ = {submission.n: submission for submission in replayed.submissions()}
        return tuple(_submission(n, then.get(n), now_.get(n)) for n in sorted({*then, *now_}))

    def _causes(self) -> tuple[str, ...]:
        spec = self.record.spec
        causes = []
        if self.image.digest != spec.image.digest:
            causes.append(f"image {self.image.name}: {spec.image.digest[:19]} then, {self.image.digest[:19]} now")
        if provenance.code_revision() != spec.code:
            causes.append("the harness's code revision")
        return tuple(causes)


def _submission(n: int, then: AttemptSubmission | None, now_: AttemptSubmission | None) -> SubmissionReplay:
    if then is None or now_ is None:
        return SubmissionReplay(n=n, same_rows=None, same_policy=None)
    return SubmissionReplay(n=n, same_rows=then.digest == now_.digest, same_policy=then.policy == now_.policy)
