"""The command ``harness``, killed at a point of ``fault_points`` that ``CURATION_TEST_KILL`` names."""

from __future__ import annotations

import os
from pathlib import Path

from curation_harness.cli import main
from fault_points import Faults

if __name__ == "__main__":
    Faults((Path(os.environ["CURATION_RUNS"]),), os.environ["CURATION_TEST_KILL"]).install()
    main()
