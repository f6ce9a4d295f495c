"""Which items an agent hears of: every set's items fall into a public and a sealed half."""

from __future__ import annotations

import hashlib
from typing import Final

from curation_plugins.jobs import Split
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation

_NAME: Final = b"half of a DataComp evaluation item\0"


def half(group: str, settings: Evaluation, key: str) -> Split:
    """The half of a group of items of the set ``key``.

    It follows from the group's name alone: neither other items, nor their order, nor a seed moves it. Groups of
    images are named after the images' bytes, so the same picture is in one half wherever it comes up again.
    """
    if key in settings.sealed_sets:
        return "sealed"
    drawn = int.from_bytes(hashlib.sha256(_NAME + group.encode()).digest()[:8], "big") / 2**64
    return "public" if drawn < settings.public_share else "sealed"
