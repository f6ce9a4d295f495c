"""Everything about the space that distances are taken in."""

import numpy as np
from sklearn.decomposition import PCA


class Space:
    """Unit vectors, rotated and cut to their leading components."""

    def __init__(self, path, keep):
        vectors = np.nan_to_num(np.load(path).astype(np.float64))
        size = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
        size[size == 0] = 1.0
        self.coordinates = self._compress(vectors / size, keep)

    @staticmethod
    def _compress(unit, keep):
        if keep >= unit.shape[1]:
            return unit
        model = PCA(n_components=keep, svd_solver="full")
        return np.round(model.fit_transform(unit), 6)

    def __len__(self):
        return self.coordinates.shape[0]

    def distance_to(self, member):
        return np.linalg.norm(self.coordinates - self.coordinates[member], axis=1)
