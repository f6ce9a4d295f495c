"""What the rows of a pool say of themselves directly, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from curation_plugins.tasks.llava.rows import read_rows


def read_metadata(rows: Path) -> Mapping[str, np.ndarray]:
    """One pass over the pool's file.

    Returns:
        Arrays of shape (rows,), by row id: ``source`` (str), ``length``, ``question_length`` and ``answer_length``
        (characters), ``turns`` (questions and answers together), ``has_image`` (bool).

    Raises:
        AssetsInvalid: the file is damaged.
    """
    sources: list[str] = []
    numbers: list[tuple[int, int, int, bool]] = []
    for row in read_rows(rows):
        asked = sum(len(turn.value) for turn in row.conversations if turn.speaker == "human")
        answered = sum(len(turn.value) for turn in row.conversations if turn.speaker == "gpt")
        sources.append(row.source)
        numbers.append((asked, answered, len(row.conversations), row.image is not None))
    table = np.array(numbers, dtype=np.int64).reshape(-1, 4)
    return {
        "source": np.array(sources, dtype=np.str_),
        "length": table[:, 0] + table[:, 1],
        "turns": table[:, 2],
        "question_length": table[:, 0],
        "answer_length": table[:, 1],
        "has_image": table[:, 3].astype(bool),
    }
