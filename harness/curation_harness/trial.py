"""Train on one selection and score the model: the same work for attempts, headlines, references and reruns."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from curation_harness.record.models import Scores
from curation_harness.record.scores import aggregate, read_items
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import EvaluateJob, EvaluateResult, Split, TrainJob, TrainResult


@dataclass(frozen=True)
class Trial:
    train: TrainResult | None
    """None for the base model."""
    model_digest: str
    public: Scores
    sealed: Scores
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
            public = self._evaluate(model, "public", scratch, items, progress)
            sealed = self._evaluate(model, "sealed", scratch, items, progress)
            evaluated = time.monotonic()
            digest = model_digest(model) if model else ""
            if keep is not None and model is not None:
                keep.mkdir()
                model.rename(keep / model.name)
            return Trial(
                train=train,
                model_digest=digest,
                public=public,
                sealed=sealed,
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
        job = TrainJob(
            selection=selection,
            assets=self.assets,
            recipe=self.task.config.recipe,
            seed=seed,
            out=out,
        )
        result = self.session.call(self.task.worker("train"), "train", job, TrainResult, progress)
        model = out / result.model
        if not model.exists() or not model.resolve().is_relative_to(out.resolve()):
            raise WorkerReplyInvalid(
                f"the trainer named {result.model!r} as its model, and there is no such file in its folder"
            )
        return result, model

    def _evaluate(self, model: Path | None, split: Split, scratch: Path, items: Path, progress: Progress) -> Scores:
        out = scratch / f"items-{split}.jsonl"
        job = EvaluateJob(model=model, assets=self.assets, split=split, recipe=self.task.config.recipe, out=out)
        result = self.session.call(self.task.worker("evaluate"), "evaluate", job, EvaluateResult, progress)
        if not out.exists():
            raise WorkerReplyInvalid(f"the evaluator wrote no item file for the {split} split")
        scored = read_items(out, self.task.config.benchmarks)
        if len(scored) != result.items:
            raise WorkerReplyInvalid(f"the evaluator promised {result.items} {split} items and wrote {len(scored)}")
        out.replace(items / out.name)
        return aggregate(scored)


def model_digest(model: Path) -> str:
    """SHA-256 over a model's files: names and contents, in order of names."""
    total = hashlib.sha256()
    files = [model] if model.is_file() else sorted(path for path in model.rglob("*") if path.is_file())
    for path in files:
        total.update(path.relative_to(model.parent).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
