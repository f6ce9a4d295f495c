"""An agent's steps, in order: model replies, tool calls and their results, submissions. ``docs/trajectory.md``."""

from curation_harness.trajectory.atif import Trajectory
from curation_harness.trajectory.building import FILE, build, load, write

__all__ = ["FILE", "Trajectory", "build", "load", "write"]
