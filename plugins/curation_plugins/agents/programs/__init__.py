"""Programs that run inside the container, mounted there read-only; none imports the harness.

``FOLDER`` is on the container's Python path, so that ``python3 -m baseline`` finds its package.
"""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
TARGET: Final = "/opt/curation/agent"
"""Where ``FOLDER`` is mounted."""
