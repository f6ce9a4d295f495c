"""Pictures and documents: only what stands in the request itself. An address or a stored file's id is refused,
because the provider would fetch it for the agent."""

from __future__ import annotations

import re
from typing import Any, Final

from curation_sandbox.gateway.filters.shape import Rule, Spot

IMAGES: Final = frozenset(
    f"image/{name}" for name in ("png", "jpeg", "jpg", "gif", "webp", "bmp", "tiff", "heic", "heif", "avif")
)
"""Pictures made of pixels. Not SVG, whose renderer may load what it links to."""
DOCUMENTS: Final = frozenset(("application/pdf", "text/plain"))

INLINE: Final = "media must be inline (base64), because the provider would fetch an address or a stored file"
NO_FILE_ID: Final = "a stored file's id; send the content inline (base64), nothing is stored with the provider"
_URL_TYPES: Final = "only data: URLs of pictures (not SVG), application/pdf and text/plain may be sent inline"

_DATA_URL: Final = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)((?:;[\w=.+-]+)*),", re.ASCII)
_HEAD: Final = 200


def image_url(value: Any, spot: Spot) -> Any:
    """A ``data:`` URL of a picture."""
    return _data_url(value, spot, IMAGES)


def file_url(value: Any, spot: Spot) -> Any:
    """A ``data:`` URL of a picture or document."""
    return _data_url(value, spot, IMAGES | DOCUMENTS)


def media_type(*allowed: str) -> Rule:
    """Rule for the ``media_type`` beside inline data."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, str) or value not in allowed:
            spot.refuse(f"must be one of {', '.join(sorted(allowed))}")
        return value

    return rule


def _data_url(value: Any, spot: Spot, allowed: frozenset[str]) -> Any:
    if not isinstance(value, str):
        spot.refuse("must be a string, a data: URL")
    if not value.startswith("data:"):
        spot.refuse(INLINE)
    head = _DATA_URL.match(value[:_HEAD])
    if head is None or head[1] not in allowed:
        spot.refuse(_URL_TYPES)
    return value
