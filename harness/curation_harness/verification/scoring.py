"""Scores made again: of item results, and these of what the model said; the headline of its seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curation_harness.attempts import feedback
from curation_harness.attempts.headline import compose, items_folder
from curation_harness.attempts.trial import model_digest
from curation_harness.record import predictions
from curation_harness.record.event_order import Walk
from curation_harness.record.measures import Scores
from curation_harness.record.models import Headline, SeedScores
from curation_harness.record.scheme import Scheme
from curation_harness.record.state import best
from curation_harness.record.store import RunRecord, read
from curation_harness.record.sums import HALVES
from curation_harness.verification.outcome import Check, holds, not_checked, same, unfit
from curation_plugins.api import Task
from curation_plugins.errors import AssetsInvalid, WorkerReplyInvalid
from curation_plugins.jobs import ItemResult
from curation_sandbox.protocol import Feedback


@dataclass(frozen=True)
class Here:
    """What of the run's task is on this machine."""

    task: Task | None
    """Under the run's numbers; none: no plugin here has it."""
    assets: Path | None
    """Its files, the ones the run was made with; none: they are not here."""
    why: str = ""
    """Why something is not here."""


def check(record: RunRecord, here: Here) -> Iterator[Check]:
    """Raises:
    RecordInvalid: at the first thing that does not fit.
    """
    scheme = Scheme.of_record(record.spec) or (Scheme.of(here.task) if here.task is not None else None)
    if scheme is None:
        yield not_checked("scores", f"the record is of a version that did not note how they are made, and {here.why}")
        return
    yield _attempts(record, scheme)
    yield from _headline(record, scheme)
    yield _models(record)
    yield _predictions(record, here)


def _attempts(record: RunRecord, scheme: Scheme) -> Check:
    count = 0
    for result in record.results():
        name = f"attempts/{result.n:03d}/result.json"
        if result.seed != record.spec.seeds.attempt:
            unfit(name, f"seed {result.seed}; attempts of this run are trained with {record.spec.seeds.attempt}")
        if result.status == "failed":
            if result.public is not None or result.sealed is not None:
                unfit(name, "an attempt that failed has no scores")
            continue
        if result.public is None or result.sealed is None:
            unfit(name, "a scored attempt has scores of both halves")
        made = _scores(record.attempt_folder(result.n), f"attempts/{result.n:03d}", scheme)
        same(name, result.public, made.public, "the items")
        same(name, result.sealed, made.sealed, "the items")
        if result.feedback is not None:
            told = _told_again(record, result.n, result.public)
            same(f"{name}, feedback", _numbers(result.feedback), _numbers(told), "the scores")
        count += 1
    return holds("scores", f"{count} attempts: what comes of their item results")


def _told_again(record: RunRecord, n: int, public: Scores) -> Feedback:
    earlier = [(one.n, one.public.mean) for one in record.results() if one.public is not None and one.n < n]
    return feedback.compose(n, public, earlier, record.references(), record.spec.task.feedback)


def _numbers(told: Feedback) -> Feedback:
    """Without its sentences: another version may say the same in other words."""
    return told.model_copy(update={"message": "", "mean_of": ""})


@dataclass(frozen=True)
class _Made:
    public: Scores
    sealed: Scores
    whole: Scores


def _scores(folder: Path, name: str, scheme: Scheme) -> _Made:
    items: dict[str, list[ItemResult]] = {}
    try:
        for half in HALVES:
            items[half] = scheme.read(folder, half)
        return _Made(
            scheme.scores(items["public"]),
            scheme.scores(items["sealed"]),
            scheme.scores([*items["public"], *items["sealed"]]),
        )
    except WorkerReplyInvalid as error:
        unfit(name, str(error))


def _headline(record: RunRecord, scheme: Scheme) -> Iterator[Check]:
    recorded = record.headline()
    if recorded is None:
        return
    winner = best(record.results())
    if winner is None or winner.n != recorded.attempt:
        unfit("headline.json", f"it is of attempt {recorded.attempt}, which is not the best one")
    seeds = tuple(seed.seed for seed in recorded.seeds)
    if seeds != record.spec.seeds.headline:
        unfit("headline.json", f"its seeds are {seeds}; run.json says {record.spec.seeds.headline}")
    for k, seed in enumerate(recorded.seeds, start=1):
        _seed(record, recorded.attempt, k, seed, scheme)
    same("headline.json", recorded, compose(record, recorded.attempt, recorded.seeds, scheme), "its seeds' scores")
    yield holds("headline", f"{len(seeds)} seeds, and the comparison with the references: what comes of their items")


def _seed(record: RunRecord, attempt: int, k: int, seed: SeedScores, scheme: Scheme) -> None:
    folder = items_folder(record, attempt, k)
    name = folder.relative_to(record.folder).as_posix()
    same("headline.json", seed, read(folder / "scores.json", SeedScores), f"{name}/scores.json")
    made = _scores(folder, name, scheme)
    for half, scores, again in (
        ("public", seed.public, made.public),
        ("sealed", seed.sealed, made.sealed),
        ("all", seed.all_items, made.whole),
    ):
        same(f"{name}/scores.json, {half}", scores, again, "the items")


def _models(record: RunRecord) -> Check:
    count = 0
    for result in record.results():
        folder = record.attempt_folder(result.n) / "model"
        if not folder.is_dir():
            continue
        name = f"attempts/{result.n:03d}/model"
        entries = list(folder.iterdir())
        if len(entries) != 1 or model_digest(entries[0]) != result.model_digest:
            unfit(name, "it is not the model that was scored: its digest is not the one in result.json")
        count += 1
    return holds("models", f"{count} kept; each is the one that was scored")


def _predictions(record: RunRecord, here: Here) -> Check:
    """Item results made again of what the model said, where the task can and its files are here."""
    folders = [record.attempt_folder(result.n) for result in record.results() if result.status == "scored"]
    headline: Headline | None = record.headline()
    if headline is not None:
        folders += [items_folder(record, headline.attempt, k) for k in range(1, len(headline.seeds) + 1)]
    if not folders:
        return holds("item results", "0 halves: nothing was scored")
    if here.task is None or here.assets is None:
        return not_checked("item results", here.why)
    count = 0
    for folder in folders:
        name = folder.relative_to(record.folder).as_posix()
        for half in HALVES:
            try:
                if not predictions.checkable(folder, half, here.task, here.assets):
                    continue
                problem = predictions.check(folder, half, here.task, here.assets)
            except AssetsInvalid as error:
                return not_checked("item results", f"the task's files here are damaged: {error.message}")
            if problem is not None:
                unfit(name, problem)
            count += 1
    if count == 0:
        return not_checked("item results", "no predictions are kept, or the task cannot score them again")
    return holds("item results", f"{count} halves: what comes of the models' recorded answers")


def ended_rightly(record: RunRecord, events: Walk) -> None:
    """A run that ended as ``scored`` has its headline, of the attempt and the seeds that the events tell.

    Raises:
        RecordInvalid: it has not.
    """
    headline = record.headline()
    if events.ended == "scored" and headline is None:
        unfit("headline.json", "it is missing; events.jsonl says that the run ended with a headline")
    if events.ended == "empty" and headline is not None:
        unfit("headline.json", "events.jsonl says that the run ended without one")
    if headline is not None and events.ended == "scored" and headline.attempt != events.headline:
        unfit("headline.json", f"it is of attempt {headline.attempt}; events.jsonl says {events.headline}")
    if events.ended == "scored" and len(events.seeds) != len(record.spec.seeds.headline):
        unfit("events.jsonl", f"{len(events.seeds)} seeds of the headline were trained, by the events")
    for k, seed in events.seeds.items():
        if k > len(record.spec.seeds.headline) or record.spec.seeds.headline[k - 1] != seed:
            unfit("events.jsonl", f"seed {seed} of the headline is not the one of run.json")
