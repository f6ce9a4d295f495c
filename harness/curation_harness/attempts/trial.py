"""Train on one selection and score the model: the same work for attempts, headlines, references and reruns."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation_harness.record.files import publish_file
from curation_harness.record.measures import Scores
from curation_harness.record.predictions import require_predictions
from curation_harness.record.scheme import Scheme, item_files
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import WorkerReplyInvalid, WorkFailed, WorkStopped
from curation_plugins.jobs import EvaluateJob, EvaluateResult, ItemResult, Split, TrainJob, TrainResult

KEPT: Final = ".kept-"
"""Beginning of the name of a folder that holds what a trainer kept for going on, until the training is over."""


@dataclass(frozen=True)
class Trial:
    train: TrainResult | None
    """None for the base model."""
    model_digest: str
    public: Scores
    sealed: Scores
    all_items: Scores
    """Both halves as one set of items."""
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials of one task on one engine session."""

    task: Task
    assets: Path
    session: EngineSession

    def run(
        self, selection: Path | None, seed: int, items: Path, progress: Progress, keep: Path | None = None
    ) -> Trial:
        """Train on ``selection`` (none: the base model) and score both splits.

        The item results go to ``items/items-public.jsonl`` and ``items/items-sealed.jsonl``, each atomically. The
        model is moved into the new folder ``keep``, which must lie below ``items``, or deleted.

        Raises:
            WorkFailed: we failed, after the engine's own retry.
        """
        scratch = Path(tempfile.mkdtemp(prefix=".trial-", dir=items))
        try:
            began = time.monotonic()
            train, model = self._train(selection, seed, scratch, progress)
            trained = time.monotonic()
            public = self.evaluate(model, "public", items, progress)
            sealed = self.evaluate(model, "sealed", items, progress)
            evaluated = time.monotonic()
            digest = model_digest(model) if model else ""
            if keep is not None and model is not None:
                keep.mkdir()
                model.rename(keep / model.name)
            scheme = Scheme.of(self.task)
            return Trial(
                train=train,
                model_digest=digest,
                public=scheme.scores(public),
                sealed=scheme.scores(sealed),
                all_items=scheme.scores([*public, *sealed]),
                train_seconds=trained - began,
                evaluate_seconds=evaluated - trained,
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _train(
        self, selection: Path | None, seed: int, scratch: Path, progress: Progress
    ) -> tuple[TrainResult | None, Path | None]:
        if selection is None:
            return None, None
        out = scratch / "model"
        out.mkdir()
        kept = scratch.parent / f"{KEPT}{seed}"
        job = TrainJob(
            selection=selection,
            assets=self.assets,
            recipe=self.task.config.recipe,
            seed=seed,
            out=out,
            kept=kept,
        )
        try:
            result = self.session.call(self.task.worker("train"), "train", job, TrainResult, progress)
        except WorkStopped:
            raise
        except WorkFailed:
            shutil.rmtree(kept, ignore_errors=True)
            raise
        shutil.rmtree(kept, ignore_errors=True)
        model = out / result.model
        if not model.exists() or not model.resolve().is_relative_to(out.resolve()):
            raise WorkerReplyInvalid(
                f"the trainer named {result.model!r} as its model, and there is no such file in its folder"
            )
        return result, model

    def evaluate(self, model: Path | None, split: Split, items: Path, progress: Progress) -> list[ItemResult]:
        """Score a half; the results also go to ``items/items-SPLIT.jsonl``, atomically, what the model said to
        ``items/predictions-SPLIT.jsonl`` (from tasks that keep it), and what was noted of the work (engine, answers
        that differ when asked again) to ``items/evaluation-SPLIT.json``; further files that the evaluator names go
        beside them.

        Raises:
            WorkFailed: we failed, after the engine's own retry.
        """
        with tempfile.TemporaryDirectory(prefix=".evaluate-", dir=items) as scratch:
            out, said = (Path(scratch) / name for name in item_files(split))
            config = self.task.config
            job = EvaluateJob(
                model=model,
                assets=self.assets,
                split=split,
                recipe=config.recipe,
                evaluation=config.evaluation,
                out=out,
                predictions=said,
            )
            result = self.session.call(self.task.worker("evaluate"), "evaluate", job, EvaluateResult, progress)
            if not out.exists():
                raise WorkerReplyInvalid(f"the evaluator wrote no item file for the {split} split")
            scored = Scheme.of(self.task).read(Path(scratch), split)
            if len(scored) != result.items:
                raise WorkerReplyInvalid(f"{result.items} {split} items were promised and {len(scored)} written")
            kept = [said] if require_predictions(said, scored) else []
            further = [Path(scratch) / name for name in result.files]
            for file in further:
                if not file.is_file() or file.is_symlink() or file in (out, said):
                    raise WorkerReplyInvalid(f"{file.name} was promised for the {split} split and not written")
            about = Path(scratch) / f"evaluation-{split}.json"
            about.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
            for file in (about, *further, *kept, out):
                publish_file(file, items / file.name)
        return scored


def model_digest(model: Path) -> str:
    """SHA-256 over a model's files: names and contents, in order of names."""
    total = hashlib.sha256()
    files = [model] if model.is_file() else sorted(path for path in model.rglob("*") if path.is_file())
    for path in files:
        total.update(path.relative_to(model.parent).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
