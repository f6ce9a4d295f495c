"""Where things lie in the assets folder of a DataComp task."""

from __future__ import annotations

from pathlib import Path


def pool(assets: Path) -> Path:
    """What the agent sees at /pool: ``metadata/``, ``manifest.json``, and ``shards/`` where the task shows images."""
    return assets / "pool"


def metadata(assets: Path) -> Path:
    """DataComp's metadata: ``*.parquet``, and beside each, where there are features, an ``.npz`` of the same stem."""
    return pool(assets) / "metadata"


def manifest(assets: Path) -> Path:
    """What this copy of the pool holds: shards with their hashes, counts, reachable share."""
    return pool(assets) / "manifest.json"


def unreachable(assets: Path) -> Path:
    """Uids of the metadata whose image is in no shard: sorted ``u8,u8`` array; nobody can choose them."""
    return pool(assets) / "unreachable.npy"


def shards(assets: Path) -> Path:
    """The pairs: webdataset tars as img2dataset wrote them. A link into the pool, or to a folder of the user's."""
    return assets / "shards"


def uids(assets: Path) -> Path:
    """Every reachable uid: sorted ``u8,u8`` array of shape (rows,). A row's id is its place here."""
    return assets / "index" / "uids.npy"


def samples(assets: Path) -> Path:
    """Where each row's image and text lie inside the tars, see ``pool_index.SAMPLE``; shape (rows,)."""
    return assets / "index" / "samples.npy"


def places(assets: Path) -> Path:
    """Where each row stands in the metadata, see ``pool_index.PLACE``; shape (rows,)."""
    return assets / "index" / "places.npy"


def evaluation(assets: Path) -> Path:
    """Evaluation sets, one folder each, in the webdataset layout of the hub's ``wds_*_test``; never shown."""
    return assets / "evaluation"


def model(assets: Path) -> Path:
    """Model configuration (``open_clip``'s JSON) and tokenizer, where the task brings its own."""
    return assets / "model"


def audit(assets: Path) -> Path:
    """Which rows look like an evaluation item; never shown to an agent."""
    return assets / "audit"


def truth(assets: Path) -> Path:
    """Planted truth of made pools: boolean array of shape (rows,); never shown."""
    return assets / "truth.npy"


def kinds(assets: Path) -> Path:
    """What each pair of a made pool is: names, shape (rows,); never shown."""
    return assets / "kinds.npy"
