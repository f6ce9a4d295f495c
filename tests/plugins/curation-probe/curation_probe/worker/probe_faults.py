"""What can go wrong in a worker, on request: ``--set recipe.fault=NAME``, and for another role than
training ``--set recipe.fault_role=evaluate`` or ``signal``. Standard library only, Python >= 3.9.

The names and what each does are in ``BEFORE`` (instead of the work) and ``AFTER`` (once the work is done).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OOM_CEILING = 3 * 2**30
"""Bytes; ``oom`` stops here, so that a harness without a memory limit fails its test and not the machine."""


def crash(job: dict[str, Any], progress: Any) -> None:
    """Dies of a segmentation fault."""
    os.kill(os.getpid(), signal.SIGSEGV)


def killed(job: dict[str, Any], progress: Any) -> None:
    """Is killed by somebody else."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(job: dict[str, Any], progress: Any) -> None:
    """Stops and says nothing more."""
    time.sleep(3600)


def forever(job: dict[str, Any], progress: Any) -> None:
    """Works without end, and says so."""
    while True:
        progress("still at it", 0.5)
        time.sleep(0.05)


def oom(job: dict[str, Any], progress: Any) -> None:
    """Takes more and more memory."""
    held: list[bytes] = []
    while len(held) * 2**24 < OOM_CEILING:
        held.append(b"\1" * 2**24)
        time.sleep(0.005)
    raise AssertionError("nobody stopped this worker from holding 3 GiB")


def oom_child(job: dict[str, Any], progress: Any) -> None:
    """A process that the worker started takes the memory, in a session of its own."""
    code = "import time\nheld=[]\nwhile len(held)<192:\n held.append(b'1'*2**24); time.sleep(.005)"
    subprocess.run([sys.executable, "-c", code], start_new_session=True, check=False)
    raise AssertionError("nobody stopped this worker's child from holding 3 GiB")


def memory_error(job: dict[str, Any], progress: Any) -> None:
    """Raises MemoryError, as Python does where the machine refuses memory."""
    raise MemoryError("no room")


def cuda_oom(job: dict[str, Any], progress: Any) -> None:
    """Raises what torch raises when a GPU has no memory left; called like it, since importing torch takes seconds."""
    raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 20.00 GiB")


def needs_room(job: dict[str, Any], progress: Any) -> None:
    """Writes 16 MiB beside its model, as a trainer does with its states, and raises where they do not fit."""
    with (Path(job["out"]) / "states").open("wb") as out:
        for _ in range(16):
            out.write(bytes(2**20))
            out.flush()


def raise_error(job: dict[str, Any], progress: Any) -> None:
    """Raises ValueError."""
    raise ValueError("the probe was asked to raise")


def lie(job: dict[str, Any], progress: Any) -> None:
    """Prints a perfect result and exits with status 1."""
    sys.stdout.write('{"job": 1, "kind": "result", "result": {"steps": 1}}\nsuccess: accuracy 100 %\n')
    sys.stdout.flush()
    sys.exit(1)


def leave(job: dict[str, Any], progress: Any) -> None:
    """Exits with status 0 and no answer."""
    sys.exit(0)


def orphans(job: dict[str, Any], progress: Any) -> None:
    """Starts a process in its group and one in a session of its own, notes their numbers, and crashes."""
    sleepers = [subprocess.Popen(["sleep", "3600"], start_new_session=alone) for alone in (False, True)]
    numbers = [sleeper.pid for sleeper in sleepers]
    Path(str(job["out"]) + ".orphans").write_text(json.dumps(numbers))
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_once(job: dict[str, Any], progress: Any) -> None:
    """Dies the first time a job is tried; the second try, which finds a mark beside ``out``, succeeds."""
    mark = Path(str(job["out"]) + ".crashed-once")
    if not mark.exists():
        mark.touch()
        (Path(job["out"]) / "half-written").touch() if Path(job["out"]).is_dir() else None
        crash(job, progress)


def garbage(job: dict[str, Any], progress: Any) -> None:
    """Writes what is no message to the harness."""
    progress._channel.send_bytes(b"\x00\xffnot a message\n")


def deep(job: dict[str, Any], progress: Any) -> None:
    """Sends a message nested so deeply that a parser runs out of stack."""
    progress._channel.send_bytes(b"[" * 200_000 + b"\n")


def huge_line(job: dict[str, Any], progress: Any) -> None:
    """Sends a message without end."""
    while True:
        progress._channel.send_bytes(b"x" * 2**20)


def wrong_job(job: dict[str, Any], progress: Any) -> None:
    """Answers a job that nobody asked for."""
    progress._channel.send({"job": progress._job + 7, "kind": "result", "result": {}})


def two_results(job: dict[str, Any], progress: Any) -> None:
    """Gives a result of its own before the real one."""
    progress._channel.send({"job": progress._job, "kind": "result", "result": {}})


def closed_channel(job: dict[str, Any], progress: Any) -> None:
    """Closes the channel to the harness and goes on."""
    os.close(progress._channel._answers_fd)
    time.sleep(3600)


def nan(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Every number of the result is NaN."""
    return {key: float("nan") if isinstance(value, float) else value for key, value in result.items()} | {
        key: [float("nan")] * len(value) for key, value in result.items() if isinstance(value, list)
    }


def infinite(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Numbers of the result are too large for a float."""
    return {key: 10**400 if isinstance(value, float) else value for key, value in result.items()}


def shape(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """The result has other keys than promised."""
    return {"accuracy": "very good"}


def not_json(result: dict[str, Any], job: dict[str, Any]) -> Any:
    """The result is no JSON value."""
    return {"model": object()}


def exit_with_good_file(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Writes everything as it should be, then exits with status 3 without an answer."""
    sys.exit(3)


def no_model(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Names a model that it did not write."""
    return {**result, "model": "nowhere.json"}


def model_elsewhere(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Names a model outside of the job's folder."""
    return {**result, "model": "../../elsewhere.json"}


def _rewrite(job: dict[str, Any], change: Any) -> None:
    out = Path(job["out"])
    items = [json.loads(line) for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(item) + "\n" for item in change(items)))


def score_two(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Scores of 2, where 1 is the best (evaluate only)."""
    _rewrite(job, lambda items: [{**item, "score": 2.0} for item in items])
    return result


def score_nan(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Scores that are no number (evaluate only)."""
    _rewrite(job, lambda items: [{**item, "score": float("nan")} for item in items])
    return result


def short_items(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Half of the items are missing from the file (evaluate only)."""
    _rewrite(job, lambda items: items[::2])
    return result


def short_sealed(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """The public half is as it should be, and of the sealed one half is missing (evaluate only)."""
    return short_items(result, job) if job["split"] == "sealed" else result


def other_benchmark(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Scores a benchmark that the task does not have (evaluate only)."""
    _rewrite(job, lambda items: [{**item, "benchmark": "invented"} for item in items])
    return result


def short_values(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Gives a value too few (signal only)."""
    return {"values": result["values"][1:]}


def sorted_values(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Gives the values in order of size, not in order of the rows (signal only)."""
    return {"values": sorted(result["values"])}


def unseeded(result: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Reports a loss that no seed decides."""
    return {**result, "loss": random.SystemRandom().random()}


BEFORE: dict[str, Any] = {
    "crash": crash,
    "killed": killed,
    "hang": hang,
    "forever": forever,
    "oom": oom,
    "oom-child": oom_child,
    "memory-error": memory_error,
    "cuda-oom": cuda_oom,
    "needs-room": needs_room,
    "raise": raise_error,
    "lie": lie,
    "leave": leave,
    "orphans": orphans,
    "crash-once": crash_once,
    "garbage": garbage,
    "deep": deep,
    "closed-channel": closed_channel,
    "huge-line": huge_line,
    "wrong-job": wrong_job,
    "two-results": two_results,
}

AFTER: dict[str, Any] = {
    "nan": nan,
    "infinite": infinite,
    "shape": shape,
    "not-json": not_json,
    "exit-with-good-file": exit_with_good_file,
    "no-model": no_model,
    "model-elsewhere": model_elsewhere,
    "score-two": score_two,
    "score-nan": score_nan,
    "short-items": short_items,
    "short-sealed": short_sealed,
    "other-benchmark": other_benchmark,
    "short-values": short_values,
    "sorted-values": sorted_values,
    "unseeded": unseeded,
}

FAULTS = (*BEFORE, *AFTER)
