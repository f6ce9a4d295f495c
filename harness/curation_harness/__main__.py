"""``python -m curation_harness``: the same as the command ``harness``."""

from curation_harness.cli import main

main()
