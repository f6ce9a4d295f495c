"""What a task needs from elsewhere, as data."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from curation_plugins.config import Frozen

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class HubSource(Frozen):
    """Files of a repository on the Hugging Face hub."""

    kind: Literal["hub"] = "hub"
    """Told apart from `url` by this."""
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """`owner/name`."""
    type: Literal["model", "dataset"] = "model"
    """Which kind of repository."""
    revision: str = "main"
    """A full commit hash where it is known. A branch is looked up at the first fetch, and its commit recorded."""
    files: tuple[str, ...] = ()
    """Shell patterns of the files that are wanted; empty: all."""
    sha256: dict[str, Sha256 | None] = {}
    """Path in the repository to hash, where we know it from elsewhere. Null: not known to us; the hub's own list is
    what a file is held against, and what came is recorded."""
    bytes: int | None = Field(default=None, gt=0)
    """About how many bytes, for messages and for the disk check before the hub was asked."""


class UrlSource(Frozen):
    """One file of a web server."""

    kind: Literal["url"] = "url"
    """Told apart from `hub` by this."""
    url: str = Field(pattern=r"^https?://")
    """Where it lies."""
    sha256: Sha256 | None = None
    """Null: not known to us; what came first is recorded, and later fetches are held against it."""
    md5: Md5 | None = None
    """Where the publisher names only this one."""
    bytes: int | None = Field(default=None, gt=0)
    """About how many bytes, as above."""


Source = Annotated[HubSource | UrlSource, Field(discriminator="kind")]


class Want(Frozen):
    """One thing that `harness fetch` brings."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name: of the folder a task finds it in, and for `--have NAME=PATH`."""
    what: str
    """What it is, for a reader."""
    source: Source
    """Where it comes from."""
    unpack: bool = False
    """An archive (zip or tar): its members are what is wanted, and the archive is removed once they are here."""
    inside: tuple[str, ...] = ()
    """Folders of an archive of images that may hold them: a folder of the user's needs an image in one of them."""
    weights: bool = False
    """A model whose weights are read from safetensors files: a folder of the user's needs all of them."""

    @property
    def key(self) -> str:
        """Names the content: same source, same folder, whichever task wants it."""
        made_of = self.source.model_dump(mode="json", exclude={"bytes"}) | {"unpack": self.unpack}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def origin(self) -> str:
        """Where it comes from, in one line."""
        if isinstance(self.source, UrlSource):
            return self.source.url
        return f"{self.source.repo}@{self.source.revision[:12]} (hub {self.source.type})"
