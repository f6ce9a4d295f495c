"""The program of a worker process. Standard library only, any Python from 3.9 on.

    <interpreter> child.py --entry module:Class --jobs FD --answers FD

Jobs come as JSON lines on one inherited descriptor and answers leave on another; standard output and error
are the log file, so nothing that a worker prints can be taken for a message.

    host → worker   {"job": 3, "role": "train", "arguments": {…}}     {"close": true}
    worker → host   {"job": 3, "kind": "started", "pid": …, "python": "3.11.7", "seconds": 0.8}
                    {"job": 3, "kind": "progress", "what": "training", "done": 0.4}
                    {"job": 3, "kind": "result", "result": {…}}
                    {"job": 3, "kind": "raised", "error": "ValueError: …", "types": […], "errno": null}
                    {"job": 3, "kind": "ended"}

Each job is ``started``, gives any number of ``progress``, then exactly one ``result`` or ``raised``, and is
``ended`` when the worker is ready for the next. ``Class`` is imported and constructed when the first job
comes, and lives until the worker ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import resource
import sys
import threading
import time
import traceback
from typing import Any

OOM_SCORE = "900"
"""proc(5), ``oom_score_adj``: 1000 is who is killed first."""
PROGRESS_INTERVAL = 0.2
"""Seconds; progress that comes faster is dropped, so that a loop may report every step."""


class Channel:
    """Both descriptors to the harness."""

    def __init__(self, jobs_fd: int, answers_fd: int) -> None:
        # what the worker starts itself must not hold the channel open
        os.set_inheritable(jobs_fd, False)
        os.set_inheritable(answers_fd, False)
        self._jobs = os.fdopen(jobs_fd, "rb")
        self._answers_fd = answers_fd
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def receive(self) -> dict[str, Any] | None:
        """The next job; None when there will be no more."""
        line = self._jobs.readline()
        if not line:
            return None
        message: dict[str, Any] = json.loads(line)
        return None if message.get("close") else message

    def send(self, message: dict[str, Any]) -> None:
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        if os.getpid() != self._pid:
            os._exit(70)  # a forked copy that ran on into our loop must not answer a second time
        with self._lock:
            view = memoryview(data)
            while view:
                view = view[os.write(self._answers_fd, view) :]


class Progress:
    """What a worker's method gets as ``progress``: ``progress(what, done)``, done in [0, 1]."""

    def __init__(self, channel: Channel, job: int) -> None:
        self._channel = channel
        self._job = job
        self._next = 0.0

    def __call__(self, what: str, done: float) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_INTERVAL
        self._channel.send({"job": self._job, "kind": "progress", "what": str(what), "done": float(done)})


def load(entry: str) -> Any:
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)()


def raised(job: int, error: BaseException) -> dict[str, Any]:
    return {
        "job": job,
        "kind": "raised",
        "error": traceback.format_exception_only(type(error), error)[-1].strip()[:2000],
        "types": [kind.__name__ for kind in type(error).__mro__],
        "errno": error.errno if isinstance(error, OSError) else None,
    }


def serve(channel: Channel, entry: str) -> None:
    """Do jobs until there are no more. SystemExit passes: a worker that exits has not answered."""
    worker: Any = None
    while True:
        message = channel.receive()
        if message is None:
            return
        job = message["job"]
        try:
            begun = time.monotonic()
            if worker is None:
                worker = load(entry)
            seconds = time.monotonic() - begun
            version = platform.python_version()
            started = {"job": job, "kind": "started", "pid": os.getpid(), "python": version}
            channel.send({**started, "seconds": seconds})
            result = getattr(worker, message["role"])(message["arguments"], Progress(channel, job))
            # encoded here, since what is no JSON is the worker's error
            answer = json.dumps({"job": job, "kind": "result", "result": result})
        except Exception as error:  # whatever a job raises is its answer; the worker lives on
            with contextlib.suppress(OSError):  # a log on a full disk must not keep the answer from being given
                traceback.print_exc()
            answer = json.dumps(raised(job, error))
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        channel.send_bytes(answer.encode() + b"\n")
        channel.send({"job": job, "kind": "ended"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entry", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--answers", type=int, required=True)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # a machine without memory kills somebody: a worker is done again, the harness would take its run along
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - import cost
        score.write(OOM_SCORE)
    # this file's neighbours must not shadow anybody's modules
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - import cost
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]  # noqa: PTH100
    serve(Channel(options.jobs, options.answers), options.entry)


if __name__ == "__main__":
    main()
