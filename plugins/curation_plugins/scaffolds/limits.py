"""The numbers of the gates, apart from what uses them: the texts name them, and NumPy is not loaded for that."""

from __future__ import annotations

from typing import Final

MAX_AUC: Final = 0.95
"""Of the shallow tree, out of fold."""
MAX_OVERLAP: Final = 0.95
"""Jaccard index of the rows with an earlier attempt's."""
TREE_DEPTH: Final = 3
TREE_LEAST: Final = 60
"""Selected (and left) rows below which the tree says nothing: five folds of a dozen rows each tell little."""
