"""What a task, an agent, a scaffold and an engine are; the built-in ones; and how strangers add theirs.

A plugin author needs three names: ``hookimpl`` from here, the base classes in ``curation_plugins.api``, and
the entry-point group ``curation_harness``::

    # my_task/plugin.py
    from curation_plugins import hookimpl

    @hookimpl
    def register_tasks(register):
        register(MyTask())

    # pyproject.toml of my-task
    [project.entry-points.curation_harness]
    my-task = "my_task.plugin"

After ``pip install my-task`` the task is in ``harness tasks``. ``docs/plugins.md`` has the whole story.
"""

import pluggy

PROJECT = "curation_harness"
"""The pluggy project name and the entry-point group."""

hookimpl = pluggy.HookimplMarker(PROJECT)
