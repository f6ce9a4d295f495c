"""The tasks at full size: each loads, names a model and a pool there are, and asks for enough of the machine."""

from __future__ import annotations

import re

import pytest

from curation_plugins import paths
from curation_plugins.config import override
from curation_plugins.errors import ConfigInvalid
from curation_plugins.registry import Registry
from curation_plugins.tasks.llava.benchmarks.registry import benchmark
from curation_plugins.tasks.llava.estimate import device_bytes
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.sources.registry import benchmark_files, models, pools
from curation_plugins.tasks.llava.sources.settings import FetchedSettings
from curation_plugins.tasks.llava.task import LlavaTask

TASKS = {
    "llava": (10_000, "llava-665k", "llava-1.5"),
    "llava-20k": (20_000, "llava-665k", "llava-1.5"),
    "llava-50k": (50_000, "llava-665k", "llava-1.5"),
    "llava-qwen2.5-vl-3b": (10_000, "llava-665k", "qwen2.5-vl"),
    "llava-qwen2-vl-2b": (10_000, "llava-665k", "qwen2-vl"),
    "llava-smolvlm-2b": (10_000, "llava-665k", "smolvlm"),
    "llava-smolvlm-500m": (10_000, "llava-665k", "smolvlm"),
    "visionflan-llava-20k": (20_000, "vision-flan", "llava-1.5"),
    "visionflan-smolvlm-10k": (10_000, "vision-flan", "smolvlm"),
}
"""Name → at most so many rows, pool, family of the model."""


def settings_of(task: LlavaTask) -> FetchedSettings:
    assert isinstance(task.settings, FetchedSettings)
    return task.settings


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest, registry: Registry) -> LlavaTask:
    found = registry.tasks.get(request.param)
    assert isinstance(found, LlavaTask)
    return found


def test_a_task_resolves_to_its_rows_pool_and_model(task: LlavaTask) -> None:
    rows, pool, family = TASKS[task.name]
    settings = settings_of(task)
    assert task.config.submission.rows_max == rows
    assert settings.pool == pool
    assert settings.model_entry().family == task.recipe.family == family
    assert f"{rows:,} rows" in task.config.title
    assert len(task.config.benchmarks) == 8


def test_its_brief_is_its_own_though_the_text_is_shared(task: LlavaTask) -> None:
    brief, settings = task.brief(), settings_of(task)
    assert str(settings.model) in brief
    assert settings.pool_entry().title in brief
    assert f"{settings.pool_entry().rows:,} rows" in brief
    assert not re.search(r"{[{%]|[%}]}", brief)
    assert len(re.findall("at most", brief)) == 1


def test_it_asks_for_the_memory_it_needs(task: LlavaTask) -> None:
    needs, assets = task.needs(), paths.TASKS
    assert needs is not None
    assert task.config.workers.memory >= needs.host_memory
    width = 4 if task.recipe.saved == "float32" else 2
    assert task.checkpoint_bytes(assets) == width * settings_of(task).model_entry().parameters
    assert needs.device_memory > needs.host_memory / 4
    assert set(needs.how) >= {"disk", "device memory", "training", "evaluation"}


def test_everything_it_wants_has_a_name_of_its_own(task: LlavaTask) -> None:
    names = [want.name for want in task.downloads()]
    assert len(set(names)) == len(names)
    assert {f"benchmark-{name}" for name in task.config.benchmarks} < set(names)


def test_sizes_of_one_pool_and_model_share_their_files(registry: Registry) -> None:
    keys = {name: registry.tasks.get(name).assets_key() for name in TASKS}
    assert keys["llava"] == keys["llava-20k"] == keys["llava-50k"]
    assert len(set(keys.values())) == len(TASKS) - 2
    shared = {want.key for want in registry.tasks.get("llava").downloads()}
    other = {want.key for want in registry.tasks.get("llava-smolvlm-2b").downloads()}
    assert len(shared & other) == len(shared) - 1


def test_the_seven_b_in_full_needs_what_is_published_for_it(registry: Registry) -> None:
    """6.74 billion parameters at 16 bytes are 108 GB before activations: no card of 80 GB, one of 141 GB."""
    needs = registry.tasks.get("llava").needs()
    assert needs is not None
    assert 108e9 < needs.device_memory < 141e9
    assert 2.8e17 < needs.train_flop < 3.4e17


def test_revisions_are_commits_or_looked_up_and_hashes_are_whole() -> None:
    sources = [model.source() for model in models().values()]
    sources += [pool.annotations for pool in pools().values() if pool.annotations.kind == "hub"]
    for source in sources:
        assert source.revision == "main" or re.fullmatch(r"[0-9a-f]{40}", source.revision)


def test_every_benchmark_file_belongs_to_a_benchmark_that_can_be_scored() -> None:
    assert [benchmark(name).name for name in benchmark_files()] == list(benchmark_files())
    assert all(file.md5 for file in benchmark_files().values())


def test_the_model_the_paper_began_with_is_not_the_tuned_one(registry: Registry) -> None:
    task = registry.tasks.get("llava")
    assert isinstance(task, LlavaTask)
    assert settings_of(task).model_entry().repo == "anonneuripsmail/llava-1.5-7b-init"


def test_a_recipe_of_another_family_is_refused(registry: Registry) -> None:
    task = registry.tasks.get("llava")
    with pytest.raises(ConfigInvalid, match=r"family llava-1\.5, and the task's is smolvlm"):
        task.with_config(override(task.config, ["assets.model=smolvlm-2b-base"]))


def test_memory_follows_the_recipe() -> None:
    """Fewer bytes in bf16, fewer still with recomputed activations, and two cards share what is trained."""
    model = models()["llava-1.5-7b-init"]
    values = {"epochs": 1, "batch": 16, "micro_batch": 4, "lr": 1e-5}

    def needed(**changes: object) -> int:
        return device_bytes(model, Recipe.model_validate({**values, **changes}))

    assert needed(precision="bf16") < 0.65 * needed()
    assert needed(checkpointing=True) < needed() - 20e9
    assert needed(cards=2) < needed() - 50e9
    assert needed(optimiser="adamw-8bit") < needed() - 35e9
    assert needed(tuning="lora") < 0.4 * needed()
    assert needed(train_tower=True) > needed()
