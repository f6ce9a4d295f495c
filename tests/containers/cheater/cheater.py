"""A hostile agent: ``cheater.py ATTACK…`` makes each attack, then asks the model something honest, and prints what
came of both as one line of JSON. What must be known of the host for an attack stands in ``given.json``."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import asks
import bodies
import crowds
import rights
import spoil
import talk
import view
import wire

SECTIONS = (view, rights, wire, asks, bodies, crowds, spoil)


def told(**fields: Any) -> None:
    # the end of the agent's log may be anything; a line of its own is found again
    sys.stdout.write("\nCHEAT " + json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    given = json.loads((Path(__file__).parent / "given.json").read_text())
    told(attack="nothing", result=None, honest=talk.honest("before"), seconds=0)
    for name in sys.argv[1:]:
        attack = next(getattr(section, name) for section in SECTIONS if hasattr(section, name))
        began = time.monotonic()
        try:
            result = attack(given)
        except Exception:
            result = {"broke": traceback.format_exc()}
        seconds = time.monotonic() - began
        told(attack=name, result=result, honest=talk.honest(f"after {name}"), seconds=round(seconds, 1))


if __name__ == "__main__":
    main()
