"""Named training recipes as data: one YAML file a task (docs/datacomp-training.md)."""

from pathlib import Path

FOLDER = Path(__file__).parent
