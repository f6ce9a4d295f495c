"""The sealed headline: the best attempt, trained again with fresh seeds, scored on items nobody was shown."""

from __future__ import annotations

from dataclasses import dataclass

from curation_harness.record import files
from curation_harness.record.models import (
    Headline,
    Recovered,
    ReferenceTable,
    Scores,
    SealedScore,
    SeedScores,
)
from curation_harness.record.scores import over_seeds, pool_splits, recovered_share
from curation_harness.record.state import best
from curation_harness.record.store import RunRecord, read
from curation_harness.trial import TrialRunner
from curation_plugins.api import Progress


@dataclass(frozen=True)
class HeadlineRunner:
    record: RunRecord
    trials: TrialRunner
    progress: Progress

    def run(self) -> Headline | None:
        """Make the headline; seeds that were done before an interruption are not done again.

        None if no attempt was scored.

        Raises:
            WorkFailed: we failed; what is done stays done.
        """
        record = self.record
        winner = best(record.results())
        if winner is None:
            return None
        record.events.append("headline-started", attempt=winner.n)
        seeds = record.spec.seeds.headline
        scored = tuple(self._seed(winner.n, k, seed) for k, seed in enumerate(seeds, start=1))
        headline = compose(winner.n, scored, record.references())
        record.write_headline(headline)
        return headline

    def _seed(self, n: int, k: int, seed: int) -> SeedScores:
        record = self.record
        # by attempt: after a resume another attempt may be the best, and must not inherit these
        items = record.folder / "headline" / f"attempt-{n:03d}" / f"seed-{k}"
        path = items / "scores.json"
        if path.exists():
            return read(path, SeedScores)
        items.mkdir(parents=True, exist_ok=True)
        selection = record.attempt_folder(n) / "selection.jsonl"
        total = len(record.spec.seeds.headline)

        def tell(what: str, done: float) -> None:
            self.progress(f"headline, seed {k} of {total}: {what}", done)

        trial = self.trials.run(selection, seed, items, tell)
        scores = SeedScores(
            attempt=n, seed=seed, public=trial.public, sealed=trial.sealed, model_digest=trial.model_digest
        )
        files.write_model(path, scores)
        record.events.append("headline-seed", k=k, seed=seed)
        return scores


def compose(attempt: int, seeds: tuple[SeedScores, ...], references: ReferenceTable | None) -> Headline:
    """The headline from its seeds' scores."""
    sealed = over_seeds([seed.sealed for seed in seeds])
    return Headline(
        attempt=attempt,
        seeds=seeds,
        sealed=sealed,
        public=over_seeds([seed.public for seed in seeds]),
        all_items=over_seeds([pool_splits(seed.public, seed.sealed) for seed in seeds]),
        recovered=_recovered(sealed, references),
    )


def _recovered(sealed: SealedScore, references: ReferenceTable | None) -> Recovered | None:
    base, full = _sealed(references, "base"), _sealed(references, "full")
    if base is None or full is None:
        return None
    return recovered_share(sealed, over_seeds(base), over_seeds(full))


def _sealed(references: ReferenceTable | None, name: str) -> list[Scores] | None:
    arm = references.arm(name) if references else None
    return [seed.sealed for seed in arm.seeds] if arm else None
