"""What is another thing now than when a run began: what a run may not go on with, and what is noted only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curation_harness import provenance, seeds
from curation_harness.errors import RecordInvalid
from curation_harness.record import sealing
from curation_harness.record.models import RunSpec
from curation_harness.record.store import RunRecord, field_digests
from curation_harness.rerun import causes
from curation_plugins.api import Task
from curation_plugins.registry import Registry

_HINT = "Bring back what it began with, or launch a new run; what the run has so far, `harness show` shows."


def require_same(record: RunRecord, registry: Registry, task: Task) -> None:
    """See that a run can go on as it began; its scaffold and image are looked at where its agent goes on.

    Raises:
        RecordInvalid: run.json, the task or the seeds were changed since, or a file since the run was interrupted; by
            name.
    """
    changed = [*_edited(record), *_other_seeds(record), *_other_task(record.spec, registry, task)]
    if changed:
        raise RecordInvalid(
            f"run {record.spec.run_id} cannot go on as it began: {'; '.join(changed)}",
            hint=_HINT,
        )
    if sealing.root(record.folder) is not None:  # the next seal would cover what was changed since this one
        sealing.check_sealed(record.folder)


def differences(spec: RunSpec, task: Task, assets: Path) -> list[str]:
    """What can move a score and is different from when the run began; for the record, one sentence each."""
    return [str(cause) for cause in causes.between(spec, causes.here(spec, task, assets))]


def _edited(record: RunRecord) -> Iterator[str]:
    """Fields of run.json that are not what the record's first event says they were."""
    created = record.events.of("created")
    then = created[0].data.get("spec", {}) if created else {}
    if not then:
        return  # of a version that did not note it
    now = field_digests(record.folder / "run.json")
    names = sorted(name for name, digest in then.items() if now.get(name) != digest)
    if names:
        yield f"run.json was changed ({', '.join(names)})"


def _other_seeds(record: RunRecord) -> Iterator[str]:
    spec = record.spec
    if seeds.of_run(spec.seeds.run, spec.task.headline.seeds) != spec.seeds:
        yield f"the seeds in run.json are not those of seed {spec.seeds.run}"
    other = [result.n for result in record.results() if result.seed != spec.seeds.attempt]
    if other:
        yield f"the seed of attempts is {spec.seeds.attempt}, and attempt {other[0]} was trained with another"


def _other_task(spec: RunSpec, registry: Registry, task: Task) -> Iterator[str]:
    here, then = registry.tasks.provider(task.name), spec.task_provider
    if (here.distribution, here.version) != (then.distribution, then.version):
        yield (
            f"task {task.name} is of {here.distribution} {here.version} here, and was of {then.distribution}"
            f" {then.version}"
        )
    elif provenance.recipe_digest(task) != spec.recipe_digest:
        yield f"task {task.name} trains or scores in another way here (recipe, benchmarks, what answers and grades)"
