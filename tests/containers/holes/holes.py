"""A hostile agent: ``holes.py NAME…`` makes each attack in turn and prints what came of it as one line of JSON.

What must be known of the host for an attack stands in ``given.json``: texts to look for are in base 64 there, so that
a search does not find them in the attacker's own files.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import handing_in
import looking
import reaching
import spoiling

SECTIONS = (spoiling, handing_in, looking, reaching)


def main() -> None:
    given: dict[str, Any] = json.loads((Path(__file__).parent / "given.json").read_text())
    for name in sys.argv[1:]:
        attack = next(getattr(section, name) for section in SECTIONS if hasattr(section, name))
        try:
            result = attack(given)
        except Exception:
            result = {"broke": traceback.format_exc()}
        # the end of the log may be anything; a line of its own is found again
        sys.stdout.write("\nHOLE " + json.dumps({"attack": name, "result": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
