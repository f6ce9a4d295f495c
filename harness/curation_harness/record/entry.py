"""What all files of a record have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """Base of the record's models: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
