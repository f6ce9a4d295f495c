"""The text an agent reads about a task: one template for all fetched tasks, filled from the task's numbers."""

from __future__ import annotations

from curation_plugins import briefs
from curation_plugins.config import TaskConfig
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.settings import AssetSettings
from curation_plugins.tasks.llava.sources.settings import FetchedSettings

FAMILY = "llava"
"""The folder whose text holds for tasks without their own."""


def write_brief(config: TaskConfig, settings: AssetSettings, recipe: Recipe) -> str:
    """Markdown: the task's own ``brief.md``, or the family's."""
    if not isinstance(settings, FetchedSettings):
        return briefs.render(config.name, FAMILY)
    pool = settings.pool_entry()
    return briefs.render(
        config.name,
        FAMILY,
        model=settings.model if isinstance(settings.model, str) else settings.model.repo,
        family=settings.model_entry().family,
        pool=pool.title,
        rows=f"{pool.rows:,}" if pool.rows else "",
        source_field=pool.source_field,
        prefixes=[prefix for prefix in pool.images if prefix],
        recipe=recipe,
        benchmarks=config.benchmarks,
        weights=config.submission.weights,
    )
