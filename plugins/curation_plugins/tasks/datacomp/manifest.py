"""``pool/manifest.json``: what this copy of a pool holds. Dead links make every download of a pool another one."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from curation_plugins.config import Frozen
from curation_plugins.errors import AssetsInvalid

VERSION = 1


class FileFacts(Frozen):
    """One file."""

    name: str
    """Without folders."""
    sha256: str
    bytes: int


class MetadataFacts(FileFacts):
    """One metadata file."""

    rows: int


class ShardFacts(FileFacts):
    """One shard."""

    pairs: int
    """With image, text and uid."""
    incomplete: int = 0
    """Samples without image or without text."""


class PoolManifest(Frozen):
    """What a pool holds. Equal manifests are equal pools."""

    version: int = VERSION
    metadata_rows: int
    """Rows of the metadata files."""
    uids: int
    """Different uids among them."""
    reachable: int
    """Of these, how many have their image in a shard: the rows of the pool."""
    reachable_share: float = Field(ge=0, le=1)
    unreachable: int
    """The others; ``unreachable.npy`` lists them."""
    pairs: int
    """In the shards."""
    repeated_pairs: int
    """Whose uid stands in an earlier place of the shards, too; the first counts."""
    unknown_pairs: int
    """Whose uid is not in the metadata; nobody can choose them."""
    incomplete: int
    """Samples of the shards without image or without text."""
    shards: tuple[ShardFacts, ...]
    """By name."""
    metadata: tuple[MetadataFacts, ...]
    """By name."""
    features: tuple[FileFacts, ...] = ()
    """``.npz`` files beside the metadata, by name."""


def read_manifest(path: Path) -> PoolManifest:
    """
    Raises:
        AssetsInvalid: missing or not a manifest.
    """
    try:
        return PoolManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise AssetsInvalid(f"{path} is no pool manifest", hint="Remove the assets folder.") from None
