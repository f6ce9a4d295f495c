"""Attacks that read: answers, predictions, keys, other scaffolds, what is mounted, and what the host told."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import spoiling
from talking import ask, curate

Given = dict[str, Any]
CONTROL = "this control is to be " + "found"


def search(given: Given) -> list[list[str]]:
    """Where a text stands that should not: place and text, from all files, environments and command lines."""
    Path("/workspace/control.txt").write_text(CONTROL)
    needles = [base64.b64decode(needle).decode() for needle in given["needles"]]
    apart = ["-g!/" + part + "/**" for part in ("proc", "sys", "dev")]
    words = ["rg", "-uuu", "--no-messages", "-o", "-H", "-N", "-0", "-a", "-F", "-f", "-", "/", "/dev/shm", *apart]
    texts = "\n".join([*needles, CONTROL])
    done = subprocess.run(words, input=texts, capture_output=True, text=True, errors="replace")
    found = [line.split("\0", 1) for line in done.stdout.splitlines()[:50]]
    for process in [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]:
        for name in ("environ", "cmdline"):
            try:
                text = Path("/proc", process, name).read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [[f"/proc/{process}/{name}", needle] for needle in needles if needle in text]
    return found


def everything_told(given: Given) -> str:
    """All that the protocol has to tell, in one text."""
    told = [ask("GET", f"/v1/{path}")[1] for path in ("task", "status", "attempts", "history", "methods")]
    told += [ask("GET", f"/v1/attempts/{n}")[1] for n in range(1, 6)]
    listed = json.loads(ask("GET", "/v1/history")[1])["files"]
    told += [ask("GET", f"/v1/history/{file['path']}")[1] for file in listed]
    odd = ("../run.json", "..%2frun.json", "attempts/001/items-sealed.jsonl", "headline.json", "/etc/passwd")
    told += [ask("GET", f"/v1/history/{path}")[1] for path in odd]
    told += [curate(*words.split())[1] for words in ("task", "status", "history", "methods", "--help")]
    return "\n".join(told)


def mounted(given: Given) -> list[dict[str, Any]]:
    """Every mount: where, its kind, whether it is writable, and where it stands in the file system it came from."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        found.append(
            {
                "at": fields[4],
                "root": fields[3],
                "writable": "rw" in fields[5].split(","),
                "options": fields[5],
                "kind": right.split()[0],
            }
        )
    return found


def rights(given: Given) -> dict[str, Any]:
    """What the process may do, and what came of trying for more."""
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
    )
    programs = []
    for folder, _, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            continue
        for name in names:
            try:
                mode = Path(folder, name).lstat().st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                programs.append(f"{folder}/{name}")
    raised = {}
    for program in programs:
        done = subprocess.run(
            [program, "-c", "id -u"], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        )
        raised[program] = done.stdout.strip()
    return {
        "uids": sorted({*os.getresuid(), *os.getresgid()}),
        "groups": os.getgroups(),
        "capabilities": {name: status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no new privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "raised": raised,
        "passwd": spoiling.tried(lambda: spoiling.append("/etc/passwd")),
        "root": spoiling.tried(lambda: os.setuid(0)),
        "sudo": [place for place in ("/usr/bin/sudo", "/usr/bin/doas", "/usr/bin/pkexec") if Path(place).exists()],
    }
