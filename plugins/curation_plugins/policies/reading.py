"""A policy's files into ``PolicyCode``, in a child process that may not take long, grow large or write."""

from __future__ import annotations

import functools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from curation_plugins.errors import ReaderFailed
from curation_plugins.policies.code import PolicyCode
from curation_sandbox.protocol import Problem

LIMIT_SECONDS: Final = 20
"""Processor seconds for reading one policy; a megabyte of honest code takes less than a tenth of it."""
LIMIT_MEMORY: Final = 1 << 30
MAX_BYTES: Final = 1_000_000
"""Of all files of a policy together."""

_COOKIE: Final = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


class PolicyUnreadable(Exception):
    """A policy that cannot be read; carries every reason. The agent's fault, never ours."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def read_policy(files: Mapping[str, Path]) -> PolicyCode:
    """Read the Python files of a policy; other files are left out.

    Args:
        files: path within the policy → copy on the host.

    Raises:
        PolicyUnreadable: too large, no text, no Python, too deep, too slow; with every reason.
        ReaderFailed: the child process could not be started.
    """
    texts, problems = _texts(files)
    if problems:
        raise PolicyUnreadable(tuple(problems))
    others = sorted(name for name in files if not name.endswith(".py"))
    answer = _read(tuple(sorted(texts.items())), tuple(others))
    if isinstance(answer, tuple):
        raise PolicyUnreadable(answer)
    return answer


def _texts(files: Mapping[str, Path]) -> tuple[dict[str, str], list[Problem]]:
    problems: list[Problem] = []
    size = sum(path.stat().st_size for path in files.values())
    if size > MAX_BYTES:
        message = f"the policy's files hold {size} bytes; at most {MAX_BYTES} are taken"
        return {}, [Problem(code="policy-too-large", message=message)]
    texts: dict[str, str] = {}
    for name, path in sorted(files.items()):
        if not name.endswith(".py"):
            continue
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            problems.append(Problem(code="policy-not-text", message=f"{name}:{line}: not UTF-8 text"))
            continue
        for line, first in enumerate(text.split("\n", 2)[:2], start=1):
            cookie = _COOKIE.match(first)
            if cookie and cookie[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
                message = f"{name}:{line}: declares the encoding {cookie[1][:40]!r}; policies are UTF-8"
                problems.append(Problem(code="policy-not-text", message=message))
        texts[name] = text
    if "policy.py" not in files:
        problems.append(Problem(code="no-policy", message="policy.py: missing; it is what the host runs"))
    return texts, problems


@functools.lru_cache(maxsize=256)
def _read(texts: tuple[tuple[str, str], ...], others: tuple[str, ...]) -> PolicyCode | tuple[Problem, ...]:
    command = [
        sys.executable,
        "-I",
        "-B",
        "-m",
        "curation_plugins.policies.child",
        str(LIMIT_MEMORY),
        str(LIMIT_SECONDS),
    ]
    sent = json.dumps({"code": dict(texts), "others": others}).encode()
    try:
        ended = subprocess.run(command, input=sent, capture_output=True, timeout=3 * LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return (_too_complex(f"it could not be read within {3 * LIMIT_SECONDS} s"),)
    except OSError as error:
        raise ReaderFailed(f"the reader of policies could not be started: {error}") from error
    if ended.returncode == 0:
        answer: dict[str, Any] = json.loads(ended.stdout)
        if answer["problems"]:
            return tuple(Problem(**problem) for problem in answer["problems"])
        return PolicyCode.model_validate(answer["code"])
    if ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return (_too_complex(f"reading it took more than {LIMIT_SECONDS} s of processor time"),)
    if ended.returncode == -signal.SIGSEGV or b"MemoryError" in ended.stderr:
        return (_too_complex(f"reading it took more than {LIMIT_MEMORY >> 20} MiB"),)
    last = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    raise ReaderFailed(f"the reader of policies ended with {ended.returncode}: {last}")


def _too_complex(why: str) -> Problem:
    return Problem(code="policy-too-complex", message=f"the policy's code is too complex: {why}")
