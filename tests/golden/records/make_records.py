"""Makes the golden records of the format that this version writes: one of each kind of run, as small as they come.

    PYTHONPATH=tests:tests/agents python tests/golden/records/make_records.py

Needs the engine and the image ``base``. Run it once, when ``FORMAT`` was raised, and keep what older versions made:
that they open is what these files are for.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness_command import Harness
from scripted_model import KEY, ScriptedModel
from scripted_moves import Say

from curation_harness import archive
from curation_harness.record.models import FORMAT
from curation_harness.record.sealing import note_beside

HERE = Path(__file__).resolve().parent
PLACE = Path("/tmp/curation-golden")
"""Stands in the records, and so is no folder of somebody's."""
SMALL = ("--iterations", "2", "--set", "headline.seeds=2", "--set", "assets.items=40", "--task", "probe")


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "agent").mkdir(parents=True)
    shutil.copy(HERE / "golden_agent.py", PLACE / "agent")
    harness = Harness(PLACE, PLACE / "cache")
    launch(harness, "golden-baseline", "--agent", "baseline")
    with ScriptedModel([Say("The first rows."), Say("Every other row.")]) as model:
        harness.environment["OPENAI_COMPATIBLE_API_KEY"] = KEY
        launch(
            *(harness, "golden-scripted", "--agent", "command", "--agent-dir", str(PLACE / "agent")),
            *("--agent-arg", "python3 /agent/golden_agent.py", "--price", "scripted=3/15"),
            *("--model", "openai-compatible/scripted", "--base-url", model.base_url),
        )
    shutil.rmtree(PLACE)


def launch(harness: Harness, run: str, *options: str) -> None:
    subprocess.run(harness.command("launch", *SMALL, "--run-id", run, *options), env=harness.environment, check=True)
    record = harness.record(run)
    for name in ("report.html", "beside.sha256"):  # the report is large, and nothing is read from it
        (record.folder / name).unlink()
    note_beside(record)
    target = HERE / f"format-{FORMAT}-{run.removeprefix('golden-')}.run.zip"
    target.unlink(missing_ok=True)
    archive.export(record, target, models=True)


if __name__ == "__main__":
    main()
