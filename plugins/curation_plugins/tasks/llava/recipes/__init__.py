"""Named training recipes as data: one YAML file a model family (docs/recipes.md)."""
