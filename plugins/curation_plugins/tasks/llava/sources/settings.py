"""`assets` of a task whose files are fetched: which model, which pool, which benchmark files."""

from __future__ import annotations

from typing import Literal

from curation_plugins.config import Frozen
from curation_plugins.hub.wanted import UrlSource, Want
from curation_plugins.tasks.llava.sources.registry import (
    ModelEntry,
    PoolEntry,
    benchmark_files,
    look_up,
    models,
    pools,
)

MODEL = "model"
ANNOTATIONS = "annotations"


class FetchedSettings(Frozen):
    """Files that `harness fetch` brings."""

    kind: Literal["fetched"]
    """Told apart from `made` by this."""
    model: str | ModelEntry
    """Name of a base model we know, or one described here."""
    pool: str | PoolEntry
    """Name of a pool we know, or one described here."""
    benchmark_files: dict[str, UrlSource] = {}
    """Benchmark to file, where it is not the one we know."""
    prompts: Literal["dataset", "llava", "qwen2-vl"] = "dataset"
    """Whose wording puts the questions; docs/vlm-benchmarks.md."""
    answer_tokens: dict[str, int] = {}
    """Benchmark to longest answer in tokens, where it is not the benchmark's own."""
    salt: str = "0"
    """Goes into the hash that splits the items into public and sealed."""
    missing_images: Literal["refuse", "exclude"] = "refuse"
    """What to do about rows whose image is not in the fetched folders: refuse the pool, or keep the rows in their
    places and let nobody choose them."""

    def model_entry(self) -> ModelEntry:
        return look_up("model", self.model, models()) if isinstance(self.model, str) else self.model

    def pool_entry(self) -> PoolEntry:
        return look_up("pool", self.pool, pools()) if isinstance(self.pool, str) else self.pool

    def benchmark_source(self, name: str) -> UrlSource:
        return self.benchmark_files.get(name) or look_up("benchmark file", name, benchmark_files())

    def wants(self, benchmarks: tuple[str, ...]) -> tuple[Want, ...]:
        """All that must be fetched: annotations, image folders, model, benchmark files.

        Raises:
            ConfigInvalid: a name that nothing is known of.
        """
        pool = self.pool_entry()
        model = self.model if isinstance(self.model, str) else self.model.repo
        return (
            Want(name=ANNOTATIONS, what=f"rows of {pool.title}", source=pool.annotations),
            *(
                Want(
                    name=images_name(prefix),
                    what=f"images {prefix or 'of the pool'}",
                    source=one.source,
                    unpack=True,
                    inside=one.inside,
                )
                for prefix, one in pool.images.items()
            ),
            Want(name=MODEL, what=f"base model {model}", source=self.model_entry().source(), weights=True),
            *(
                Want(name=benchmark_name(name), what=f"benchmark {name}", source=self.benchmark_source(name))
                for name in benchmarks
            ),
        )


def images_name(prefix: str) -> str:
    """Name of the want with the images whose paths begin like this."""
    return "-".join(("images", *prefix.split("/"))).rstrip("-")


def benchmark_name(name: str) -> str:
    """Name of the want with a benchmark's file."""
    return f"benchmark-{name}"
