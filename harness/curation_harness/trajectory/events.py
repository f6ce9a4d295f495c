"""Server-sent events of a streamed reply (WHATWG HTML, "Interpreting an event stream"), as providers use them."""

from __future__ import annotations

from collections.abc import Iterator

from curation_harness.trajectory import bounds
from curation_harness.trajectory.dialogue import row


def documents(body: bytes) -> Iterator[dict[str, object]]:
    """The JSON objects of a reply: one, or those of its events. What cannot be read is passed by."""
    if body.lstrip()[:1] == b"{":
        yield row(bounds.parsed(body))
        return
    for event in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
        if data and data != b"[DONE]":
            yield row(bounds.parsed(data))
