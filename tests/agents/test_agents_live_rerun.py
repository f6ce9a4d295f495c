"""``harness rerun --live``: the recorded spec with a real program, before a model that says something else by now."""

from __future__ import annotations

import json

from agent_bench import CODEX, agent_run, submit
from scripted_model import ScriptedModel
from scripted_moves import Say

from curation_harness.errors import OptionInvalid, RerunDiffers


def test_new_traffic_is_compared_stage_by_stage(tmp_path, cache, engine):
    with agent_run(CODEX, [submit(1, range(40)), Say("done")], tmp_path / "then", cache) as run:
        run.launch("--iterations", "1")
        harness, port = run.harness, int(run.model.base_url.rpartition(":")[2])
    with ScriptedModel([submit(1, range(20, 60)), Say("done")], port=port) as other:
        done = harness.run("rerun", "r", "--live", "--json")
        assert done.returncode == RerunDiffers.exit_code, done.stderr
        assert other.turns
    made = json.loads(done.stdout)
    assert (made["kind"], made["record"], made["causes"]) == ("live", "r-live-1", [])
    stages = {(stage["kind"], stage["n"], stage["part"]): stage for stage in made["stages"]}
    conversation, submission = stages["conversation", None, ""], stages["submission", 1, ""]
    assert conversation["verdict"] == "differs"
    assert 0 < conversation["value"] <= 1
    assert conversation["why"] == ["nothing that is recorded is different: the stage does not repeat itself"]
    assert (submission["verdict"], submission["value"]) == ("differs", 1 - 20 / 60)
    assert submission["why"] == ["conversation is not equal"]
    assert stages["training", 1, ""]["why"] == ["submission 1 is not equal"]
    assert harness.record("r-live-1").spec.model == harness.record("r").spec.model
    assert harness.summary("r-live-1").status == "scored"
    again = harness.run("rerun", "r", "--live", "--against", "r-live-1", "--json")
    assert json.loads(again.stdout)["stages"] == made["stages"]
    itself = harness.run("rerun", "r-live-1", "--live", "--against", "r-live-1", "--json")
    assert itself.returncode == OptionInvalid.exit_code
    assert "it would be equal whatever it is" in itself.stderr
