"""The sealed headline: the best attempt, trained again with fresh seeds, scored on items nobody was shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation_harness.attempts.trial import TrialRunner
from curation_harness.record import files
from curation_harness.record.measures import Analysis
from curation_harness.record.models import Headline, SeedScores
from curation_harness.record.scheme import Scheme
from curation_harness.record.scores import over_seeds
from curation_harness.record.state import best
from curation_harness.record.store import RunRecord, read
from curation_harness.record.sums import HALVES, Halves
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
        begun = record.events.of("headline-started")
        if not begun or begun[-1].data["attempt"] != winner.n:
            record.events.append("headline-started", attempt=winner.n)
        seeds = record.spec.seeds.headline
        scored = tuple(self._seed(winner.n, k, seed) for k, seed in enumerate(seeds, start=1))
        headline = compose(record, winner.n, scored, Scheme.of(self.trials.task))
        record.write_headline(headline)
        return headline

    def _seed(self, n: int, k: int, seed: int) -> SeedScores:
        record = self.record
        items = items_folder(record, n, k)
        path = items / "scores.json"
        if path.exists():
            self._tell(k, seed)
            return read(path, SeedScores)
        items.mkdir(parents=True, exist_ok=True)
        selection = record.selection_file(n)
        total = len(record.spec.seeds.headline)

        def tell(what: str, done: float) -> None:
            self.progress(f"headline, seed {k} of {total}: {what}", done)

        trial = self.trials.run(selection, seed, items, tell)
        scores = SeedScores(
            attempt=n,
            seed=seed,
            public=trial.public,
            sealed=trial.sealed,
            all_items=trial.all_items,
            model_digest=trial.model_digest,
        )
        files.write_model(path, scores)
        self._tell(k, seed)
        return scores

    def _tell(self, k: int, seed: int) -> None:
        """Once for each headline that was begun: a kill may have come before the event."""
        since = self.record.events.of("headline-started")[-1].seq
        told = {event.data["k"] for event in self.record.events.of("headline-seed") if event.seq > since}
        if k not in told:
            self.record.events.append("headline-seed", k=k, seed=seed)


def compose(record: RunRecord, attempt: int, seeds: tuple[SeedScores, ...], scheme: Scheme) -> Headline:
    """The headline from its seeds' scores and item results."""
    return Headline(
        attempt=attempt,
        seeds=seeds,
        sealed=over_seeds([seed.sealed for seed in seeds]),
        public=over_seeds([seed.public for seed in seeds]),
        all_items=over_seeds([seed.all_items for seed in seeds]),
        analysis=_analysis(record, attempt, len(seeds), scheme),
    )


def _analysis(record: RunRecord, attempt: int, seeds: int, scheme: Scheme) -> Analysis | None:
    table = record.references()
    if table is None or table.sums is None:
        return None
    from curation_harness.record.analysis import analyse  # numpy; reading records does without it

    folders = [items_folder(record, attempt, k) for k in range(1, seeds + 1)]
    headline: list[Halves] = [
        {half: scheme.tally(scheme.read(folder, half)) for half in HALVES} for folder in folders
    ]
    chosen = scheme.tally(scheme.read(record.attempt_folder(attempt), "public"))
    scored = sum(result.public is not None for result in record.results())
    return analyse(headline, chosen, scored, table.sums, graded=scheme.graded)


def items_folder(record: RunRecord, attempt: int, k: int) -> Path:
    """By attempt: after a resume another attempt may be the best, and must not inherit these."""
    return record.folder / "headline" / f"attempt-{attempt:03d}" / f"seed-{k}"
