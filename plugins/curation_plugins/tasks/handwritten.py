"""scikit-learn's handwritten digits: real scans inside a library, for tasks whose files are made locally."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=1)
def digit_images() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All 1,797 of ``sklearn.datasets.load_digits``: images (1797, 8, 8) in 0..255 and labels (1797,)."""
    from sklearn.datasets import load_digits  # heavy, and only needed when images are made

    data = load_digits()
    return (data.images * (255.0 / 16.0)).astype(np.uint8), data.target.astype(np.int64)
