"""One large upload by the real client to a real submit server; prints what it took of memory on both sides.

python large_upload.py FOLDER FILE
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from curation_sandbox.blobs import BlobStore
from curation_sandbox.protocol import CheckReply
from curation_sandbox.submit_server import SubmitServer
from submit_bench import BenchHandler

CURATE = Path(sys.modules[BlobStore.__module__].__file__ or "").parent / "incontainer" / "curate.py"


class Counting(BenchHandler):
    """Takes any file for well-formed."""

    def check(self, data: Path) -> CheckReply:
        return CheckReply(ok=True, rows=data.stat().st_size, problems=())


def peak(process: int | str = "self") -> float:
    """MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def main(folder: Path, file: Path) -> None:
    store = BlobStore(folder / "run", max_blob=2**31, max_total=2**32)
    with SubmitServer(folder / "socket", Counting(), store) as _:
        before, client = peak(), 0.0
        environment = {"CURATION_SOCKET": str(folder / "socket" / "submit.sock"), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-I", str(CURATE), "--json", "check", str(file)]
        sender = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        while sender.poll() is None:
            client = max(client, peak(sender.pid))
            time.sleep(0.02)
        assert sender.stdout is not None
        reply = json.loads(sender.stdout.read())
        sys.stdout.write(json.dumps({"reply": reply, "client": client, "server": peak() - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
