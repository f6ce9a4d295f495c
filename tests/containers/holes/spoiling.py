"""Attacks that write: into the harness, the answers, the results, and what a neighbour has."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Given = dict[str, Any]
OWN = ("/workspace", "/home/agent", "/tmp", "/dev/shm")
"""Where an agent may write."""
PERFECT = json.dumps([9.0] * 13)
"""A model file of the probe's form."""
RESULTS = {
    "items-public.jsonl": '{"benchmark": "plain", "item": "plain-0", "group": "plain-0", "score": 1.0}\n',
    "items-sealed.jsonl": '{"benchmark": "plain", "item": "plain-2", "group": "plain-1", "score": 1.0}\n',
    "predictions-public.jsonl": '{"benchmark": "plain", "item": "plain-0", "answer": "1"}\n',
    "result.json": '{"n": 1, "status": "scored", "public": {"mean": 1.0, "stderr": 0.0, "n": 240}}',
    "results.json": '{"accuracy": 1.0}',
    "results.tsv": "attempt\tscore\n1\t1.0\n",
    "headline.json": '{"mean": 1.0}',
    "scores.json": '{"mean": 1.0}',
    "model.json": PERFECT,
    "session_state.json": '{"finetuned": "/workspace/model.json", "iterations_left": 1000}',
}
REWARDS = {
    "reward.json": '{"reward": 1.0}',
    "reward.txt": "1.0\n",
    "score.txt": "1.0\n",
    "ctrf.json": '{"passed": 1}',
}


def tried(act: Callable[[], Any]) -> str:
    """``done``, or why not."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def write(place: str, text: str) -> str:
    def act() -> None:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text(text)

    return tried(act)


def append(place: str) -> None:
    with Path(place).open("ab") as file:
        file.write(b"evil")


def payload(given: Given) -> str:
    """A program that leaves a file on the host, were it run there."""
    return f"import pathlib; pathlib.Path({given['canary']!r}).write_text('run')\n"


def edit_the_harness(given: Given) -> dict[str, Any]:
    """Change what runs next: the tools in the container, and files that Python or a test runner picks up by name."""
    tools = ["/usr/local/bin/curate", "/opt/curation/start.py", "/agent/holes.py", "/usr/bin/python3", "/etc/passwd"]
    Path("/tmp/new").write_text("evil")
    edits = {tool: tried(partial(append, tool)) for tool in tools}
    edits |= {f"replace {tool}": tried(partial(Path("/tmp/new").replace, tool)) for tool in tools}
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "setup.py", "curation_harness/__init__.py"):
        for folder in OWN:
            write(f"{folder}/{name}", payload(given))
    write("/workspace/evil.pth", f"import os; os.system('touch {given['canary']}')\n")
    writable = []
    for folder, _, _ in os.walk("/"):
        if not folder.startswith(("/proc", "/sys/", *OWN)) and os.access(folder, os.W_OK):
            writable.append(folder)
    return {"edits": edits, "writable": sorted(writable)}


def edit_the_answers(given: Given) -> dict[str, str]:
    """Write into the pool's folder and above it, and the benchmark's files where the host has them."""
    places = ["/pool/rows.jsonl", "/pool/items.jsonl", "/pool/../items.jsonl", "/items.jsonl", *given["assets"]]
    return {place: write(place, '{"y": 1}\n') for place in places}


def plant_results(given: Given) -> list[str]:
    """Results of the forms that the host writes, before the attempt that they would be of."""
    done = []
    for folder in (*OWN, "/run/curation", "/pool", *given["record"]):
        for sub in ("", "attempts/001/", "headline/attempt-001/seed-0/"):
            done += [
                f"{folder}/{sub}{n}" for n, text in RESULTS.items() if write(f"{folder}/{sub}{n}", text) == "done"
            ]
    return done


def plant_a_reward(given: Given) -> dict[str, str]:
    """Where Harbor's verifier would look, and said aloud, too."""
    for name, text in REWARDS.items():
        sys.stdout.write(f"{name}: {text}\n")
    sys.stdout.write('{"reward": 1.0}\nFINAL SCORE: 1.0\n{"outcome": "accepted", "attempt": 1, "mean": 1.0}\n')
    folders = (
        "/logs/verifier",
        "/logs",
        "/workspace/logs/verifier",
        "/home/agent/logs/verifier",
        "/tmp/logs/verifier",
    )
    return {f"{folder}/{name}": write(f"{folder}/{name}", t) for folder in folders for name, t in REWARDS.items()}


def wreck_the_neighbour(given: Given) -> dict[str, str]:
    """Remove everything that can be, and what belongs to another run, by the paths that it has on the host."""
    found = {}
    for path in given["neighbour"]:
        for way in (path, f"/proc/1/root{path}", f"/run/curation/../..{path}"):
            found[way] = tried(partial(os.scandir, way))
            found[f"write {way}"] = tried(partial(Path(way, "wrecked").write_text, "x"))
    for folder in (*OWN, "/pool", "/run/curation"):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                found[f"remove {entry.path}"] = tried(Path(entry.path).unlink)
    return {name: end for name, end in found.items() if not name.startswith(tuple(f"remove {own}" for own in OWN))}
