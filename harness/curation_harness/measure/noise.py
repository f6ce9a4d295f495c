"""How far one selection's score moves by itself: other training seeds, and the same model evaluated again.

::

    <references of the task>/noise/
        model/               the trained model, until all evaluations are done
        model.digest         of its files: evaluations of another model are not mixed in
        evaluation-<e>/      items-public.jsonl, items-sealed.jsonl; 0 is the one that followed the training
        noise.json           the result
"""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from curation_harness import seeds
from curation_harness.attempts.trial import TrialRunner
from curation_harness.errors import ReferencesInvalid
from curation_harness.measure.references import FIXED, ReferenceRunner, write_selection
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.measures import Interval, Noise, Part, Scores, Spread
from curation_harness.record.models import ReferenceSeed
from curation_harness.record.scheme import ITEM_FILES, Scheme
from curation_harness.record.student import chi2_quantile
from curation_harness.record.sums import HALVES, Half
from curation_plugins.api import Progress
from curation_plugins.jobs import ItemResult
from curation_sandbox import owners

Items = Mapping[Half, Sequence[ItemResult]]
LEAST = 2
"""Seeds, and evaluations, that a standard deviation needs."""


@dataclass(frozen=True)
class NoiseRunner:
    """Measures σ_train and σ_eval; what was measured before is kept."""

    cache: Path
    open: Callable[[], AbstractContextManager[TrialRunner]]
    """Fresh workers: an engine that was started anew is part of the noise of evaluating."""
    progress: Progress

    def run(self, seeds_wanted: int, evaluations: int) -> Noise:
        """Measure what is missing and write the result, of all that was ever measured, beside the references.

        Raises:
            WorkFailed: we failed; finished measurements stay.
        """
        with self.open() as trials:
            references = ReferenceRunner(self.cache, trials, self.progress)
            references.measure_all([(FIXED, k, seeds_wanted) for k in range(seeds_wanted)])
            place = references.folder / "noise"
            place.mkdir(parents=True, exist_ok=True)
            missing = [e for e in range(evaluations) if not _done(place, e)]
            model = self._model(references, place) if missing else None
        for e in range(evaluations):
            if model is not None and not _done(place, e):
                with self.open() as trials:
                    self._evaluate(trials, model, place, e, evaluations)
        scheme = Scheme.of(trials.task)
        done = itertools.takewhile(lambda e: _done(place, e), itertools.count())
        read = [_read(place, e, scheme) for e in done]
        noise = combine(references.measured(FIXED), read, scheme)
        files.write_model(place / "noise.json", noise)
        shutil.rmtree(place / "model", ignore_errors=True)
        references.write_table()
        return noise

    def _model(self, references: ReferenceRunner, place: Path) -> Path:
        """The model that is evaluated: the fixed selection under its first seed."""
        kept = place / "model"
        found = sorted(kept.iterdir()) if kept.is_dir() else []
        if found:
            return found[0]
        seed = seeds.of_reference(FIXED, 0)
        chosen = references.selection(FIXED, seed)
        assert chosen is not None  # only the base model has no rows

        def tell(what: str, done: float) -> None:
            self.progress(f"the model to evaluate again: {what}", done)

        with owners.scratch(self.cache) as folder:
            trial = references.trials.run(write_selection(chosen, folder), seed, folder, tell, keep=folder / "model")
            if _digest(place) != trial.model_digest:  # training is not exactly repeatable here
                for old in place.glob("evaluation-*"):
                    shutil.rmtree(old)
                files.write(place / "model.digest", trial.model_digest.encode())
            first = place / "evaluation-0"
            first.mkdir(exist_ok=True)
            for name in ITEM_FILES:
                if (folder / name).exists():  # not every task keeps what the model said
                    (folder / name).replace(first / name)
            (folder / "model").rename(kept)
        return next(iter(kept.iterdir()))

    def _evaluate(self, trials: TrialRunner, model: Path, place: Path, e: int, count: int) -> None:
        def tell(what: str, done: float) -> None:
            self.progress(f"evaluation {e + 1} of {count} of one model: {what}", done)

        folder = place / f"evaluation-{e}"
        folder.mkdir(exist_ok=True)
        for half in HALVES:
            trials.evaluate(model, half, folder, tell)


def _digest(place: Path) -> str:
    path = place / "model.digest"
    return path.read_text() if path.exists() else ""


def _done(place: Path, e: int) -> bool:
    return all((place / f"evaluation-{e}" / f"items-{half}.jsonl").exists() for half in HALVES)


def _read(place: Path, e: int, scheme: Scheme) -> Items:
    return {half: scheme.read(place / f"evaluation-{e}", half) for half in HALVES}


def combine(trained: Sequence[ReferenceSeed], evaluated: Sequence[Items], scheme: Scheme) -> Noise:
    """The result, from the scores of the seeds and the items of the evaluations.

    Raises:
        ReferencesInvalid: too few of either.
    """
    if len(trained) < LEAST or len(evaluated) < LEAST:
        raise ReferencesInvalid(
            f"{len(trained)} seeds and {len(evaluated)} evaluations tell nothing of a spread",
            hint="At least two of each; from eight seeds on the standard deviation is known to about a quarter.",
        )
    of_train: dict[Part, list[Scores]] = {
        "public": [seed.public for seed in trained],
        "sealed": [seed.sealed for seed in trained],
        "all": [seed.all_items for seed in trained],
    }
    of_evaluate: dict[Part, list[Scores]] = {
        "public": [scheme.scores(items["public"]) for items in evaluated],
        "sealed": [scheme.scores(items["sealed"]) for items in evaluated],
        "all": [scheme.scores([*items["public"], *items["sealed"]]) for items in evaluated],
    }
    flipped, reworded = _changes(evaluated)
    return Noise(
        train={part: spread([score.mean for score in scores]) for part, scores in of_train.items()},
        evaluate={part: spread([score.mean for score in scores]) for part, scores in of_evaluate.items()},
        flipped=flipped,
        reworded=reworded,
        measured=now(),
    )


def spread(values: Sequence[float]) -> Spread:
    """Standard deviation with its 95 % interval: (n−1)·s²/χ² at both ends, for normal scores."""
    sd = statistics.stdev(values)
    freedom = len(values) - 1
    low, high = (sd * math.sqrt(freedom / chi2_quantile(p, freedom)) for p in (0.975, 0.025))
    return Spread(sd=sd, values=tuple(values), interval=Interval(low=low, high=high) if sd > 0 else None)


def _changes(evaluated: Sequence[Items]) -> tuple[float, float]:
    """Shares of items that differ in score and in text, mean over pairs of evaluations."""
    answers = [
        {(item.benchmark, item.item): (item.score, item.prediction) for half in HALVES for item in items[half]}
        for items in evaluated
    ]
    flips, texts = [], []
    for one, other in itertools.combinations(answers, 2):
        flips.append(statistics.fmean(one[key][0] != other[key][0] for key in one))
        texts.append(statistics.fmean(one[key][1] != other[key][1] for key in one))
    return statistics.fmean(flips), statistics.fmean(texts)
