"""Texts that agents read about tasks: ``brief.md`` files, filled in."""

from __future__ import annotations

import jinja2

from curation_plugins import paths


def render(task: str, fallback: str, /, **values: object) -> str:
    """The task's own ``brief.md``, or that of the folder ``fallback``, with ``values`` put in for their names."""
    own = paths.TASKS / task / "brief.md"
    path = own if own.exists() else paths.TASKS / fallback / "brief.md"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(path.read_text(encoding="utf-8")).render(**values)
