"""The text an agent reads about a task, filled from the task's numbers."""

from __future__ import annotations

from curation_plugins import briefs
from curation_plugins.config import TaskConfig
from curation_plugins.tasks.datacomp.evaluation.sets import look_up, mean_name
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_plugins.tasks.datacomp.settings import AssetSettings
from curation_plugins.tasks.datacomp.sources.settings import FetchedSettings

FAMILY = "datacomp-small"
"""The folder whose text holds for tasks without their own."""


def write_brief(config: TaskConfig, settings: AssetSettings, recipe: Recipe) -> str:
    """Markdown: the task's own ``brief.md``, or the family's."""
    fetched = settings if isinstance(settings, FetchedSettings) else None
    return briefs.render(
        config.name,
        FAMILY,
        pool=fetched.pool_entry().title if fetched else "",
        uids=f"{fetched.pool_entry().rows:,}" if fetched else "",
        features=fetched is not None and fetched.features and fetched.pool_entry().features is not None,
        show_images=fetched is None or fetched.show_images,
        recipe=recipe,
        submission=config.submission,
        sets=[look_up(key).name for key in config.benchmarks],
        mean=mean_name(config.benchmarks),
        sealed=[look_up(key).name for key in config.evaluation.get("sealed_sets", ())],
    )
