"""Named training recipes as data: one YAML file a model family (docs/recipes.md)."""

from pathlib import Path

FOLDER = Path(__file__).parent
