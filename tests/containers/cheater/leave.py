"""A hostile agent that leaves things in its home: for whoever copies its session log, and for its own next start.

``leave.py N`` is its turn N.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import talk

HOME = Path.home()


def links(host: str) -> None:
    log = HOME / "log"
    (log / "a-link.jsonl").symlink_to(f"{host}/secret.jsonl")
    (log / "b-climbing.jsonl").symlink_to("../" * 20 + f"{host}/secret.jsonl")
    (log / "c-own.jsonl").symlink_to("/etc/passwd")
    (log / "d-process.jsonl").symlink_to("/proc/self/environ")
    (HOME / "deep").symlink_to(host)
    (log / "e-folder.jsonl").mkdir()
    os.link("/workspace/../home/agent/log/f-plain.jsonl", log / "g-hard.jsonl")


def pipes() -> None:
    os.mkfifo(HOME / "log" / "h-pipe.jsonl")
    socket.socket(socket.AF_UNIX).bind(str(HOME / "log" / "i-socket.jsonl"))


def sizes() -> None:
    with (HOME / "log" / "j-hollow.jsonl").open("wb") as file:
        file.truncate(250 * 2**20)
    with (HOME / "log" / "k-hollow.jsonl").open("wb") as file:
        file.truncate(250 * 2**20)
    for number in range(3000):
        (HOME / "log" / f"m{number:04d}.jsonl").write_text("{}\n")


def names() -> None:
    for name in (b"l-\xff\xfe.jsonl", b"l-line\nbreak.jsonl", b"l-" + b"n" * 240 + b".jsonl", b"l-\x1b[2J.jsonl"):
        Path(os.fsdecode(os.fsencode(HOME / "log") + b"/" + name)).write_text("{}\n")
    (HOME / "log" / "l-closed.jsonl").write_text("{}\n")
    (HOME / "log" / "l-closed.jsonl").chmod(0)
    (HOME / "log" / "l-nested.jsonl").write_text("[" * 200_000 + "\n" + "9" * 200_000 + "\n")


def traps(number: int) -> None:
    """Where the next start will put its files."""
    conf = HOME / "conf"
    victim = Path("/workspace/victim.txt")
    victim.write_text("untouched")
    for name, lay in {
        "link.json": lambda path: path.symlink_to(victim),
        "pool.json": lambda path: path.symlink_to("/pool/rows.jsonl"),
        "loop.json": lambda path: path.symlink_to(path),
        "pipe.json": os.mkfifo,
        "shut.json": lambda path: (path.write_text("mine"), path.chmod(0)),
    }.items():
        path = conf / name
        path.unlink(missing_ok=True)
        lay(path)
    if number == 2:  # what no file can be put in the place of without removing more
        (conf / "folder.json").unlink(missing_ok=True)
        (conf / "folder.json" / "full").mkdir(parents=True)
        (conf / "inner" / "a.json").unlink()
        (conf / "inner").rmdir()
        (conf / "inner").write_text("a file")


def main() -> None:
    number = int(sys.argv[1])
    conf = HOME / "conf"
    found = {path.name: path.read_text() for path in sorted(conf.glob("*.json")) if path.is_file()}
    victim = Path("/workspace/victim.txt")
    told = {"turn": number, "conf": found, "victim": victim.read_text() if victim.exists() else None}
    if number == 1:
        (HOME / "log").mkdir()
        (HOME / "log" / "f-plain.jsonl").write_text('{"plain": true}\n')
        links(json.loads(Path("/agent/given.json").read_text())["host"])
        pipes()
        names()
        sizes()
    traps(number)
    told["honest"] = talk.honest(f"in turn {number}")
    sys.stdout.write("\nLEFT " + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
