"""``harness rerun RUN --replay``: the recorded agent once more, and what came of it beside what came of it then."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from curation_harness import provenance
from curation_harness.agent.model_desk import Denied
from curation_harness.agent.seat import ModelLine
from curation_harness.planning.plan import Plan
from curation_harness.providers import pins
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.integrity import check_submissions
from curation_harness.record.models import ImageUsed
from curation_harness.record.store import RunRecord
from curation_harness.replay.compare import NOT_SHOWN
from curation_harness.replay.source import RecordedSource
from curation_harness.replay.verdict import Replay
from curation_harness.reproduction.history import SELECTION_NAMES
from curation_harness.reproduction.runner import ContainerRunner
from curation_harness.rerun import causes, comparing, numbers
from curation_harness.rerun.stages import Cause, Stage, explained, worst
from curation_harness.run.interruption import interruptible
from curation_harness.run.loop import Parts, RunLoop
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
        folder = numbers.new_folder(self.record, "replay")
        try:
            return self._replay(folder, source)
        except KeyboardInterrupt:
            numbers.withdraw(folder)
            raise

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
        replay = self._verdict(replayed, source, self._causes())
        files.write_model(folder.with_suffix(".json"), replay)
        self.watcher.step(f"what was found is kept in {folder.with_suffix('.json')}")
        return replay

    def _policies(self) -> ContainerRunner:
        spec = self.record.spec
        output = SELECTION_NAMES[spec.task.submission.kind]
        pool, limits = self.assets / "pool", spec.task.limits
        return ContainerRunner(spec.run_id, self.image.digest, pool, limits, output, spec.runtime)

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

    def _verdict(self, replayed: RunRecord, source: RecordedSource, found: tuple[Cause, ...]) -> Replay:
        then = self.record
        attempts = sorted({submission.n for made in (then, replayed) for submission in made.submissions()})
        handed_in = [
            *(comparing.handed_in(n, then, replayed) for n in attempts),
            comparing.refused(then, replayed),
        ]
        conversation = (_conversation(source),) if source.requests or source.left() else ()
        # what was said counts by what came of it; where nothing did, by itself
        counted = handed_in if attempts or then.refusals() or replayed.refusals() else conversation
        return Replay(
            run_id=then.spec.run_id,
            verdict="equal" if worst(counted) == "equal" else "differs",
            stages=explained([*conversation, *handed_in], found),
            requests=tuple(source.requests),
            not_asked=source.left(),
            causes=found,
            record=str(replayed.folder.relative_to(then.folder / "reruns")),
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            packages=provenance.packages(),
            made=now(),
        )

    def _causes(self) -> tuple[Cause, ...]:
        spec = self.record.spec
        now_ = causes.with_agent(causes.here(spec, self.plan.task, self.assets), self.plan, self.image)
        return causes.between(spec, now_)


def _conversation(source: RecordedSource) -> Stage:
    """Followed to its end or not, and how many of the requests were others."""
    left = source.left()
    others = sum(request.kind not in NOT_SHOWN for request in source.requests) + len(left)
    total = len(source.requests) + len(left)
    return Stage(
        kind="conversation",
        verdict="differs" if others else "equal",
        measure=comparing.REQUESTS,
        value=others / total if total else 0.0,
        detail=f"{len(source.requests)} requests, {others - len(left)} of them others; {len(left)} not asked",
    )
