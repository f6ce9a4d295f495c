"""An agent without a container: it hands in what the submit server would hand on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation_harness.run.loop import RunLoop
from curation_sandbox.protocol import Accepted, AttemptView, PolicyFile, SubmitReply, SubmitRequest

DIGEST = "0" * 64


class Agent:
    """Speaks to the handler as the submit server does."""

    def __init__(self, loop: RunLoop, folder: Path) -> None:
        self.loop = loop
        self.folder = folder
        self.policy = folder / "policy.py"
        self.policy.write_text("print('rows')\n")
        self.count = 0

    def file(self, rows: Sequence[object]) -> Path:
        self.count += 1
        path = self.folder / f"rows-{self.count}.txt"
        path.write_text("".join(f"{row}\n" for row in rows))
        return path

    def submit(
        self, rows: Sequence[object], key: str | None = None, *, policy: bool = True, note: str = ""
    ) -> SubmitReply:
        data = self.file(rows)
        files = {"policy.py": self.policy} if policy else {}
        request = SubmitRequest(
            key=key or f"key-{self.count:06d}",
            data=DIGEST,
            policy=tuple(PolicyFile(path=name, blob=DIGEST) for name in files),
            note=note,
        )
        return self.loop.handler.submit(request, data, files)

    def tried(self, rows: Sequence[object]) -> AttemptView:
        """The attempt that the rows become, once it has its result."""
        reply = self.submit(rows)
        assert isinstance(reply, Accepted), reply
        self.loop.work_through()
        view = self.loop.handler.attempt(reply.attempt)
        assert view is not None
        return view
