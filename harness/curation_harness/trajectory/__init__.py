"""An agent's steps, in order: model replies, tool calls and their results, submissions. ``docs/trajectory.md``."""
