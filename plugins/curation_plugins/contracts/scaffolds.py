"""The contract of a scaffold."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from curation_plugins.api import Scaffold, Task
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_sandbox.protocol import PolicyFile, Problem, SubmitRequest


def check_scaffold(scaffold: Scaffold, task: Task) -> None:
    """Check a scaffold's words, and its gate on submissions with and without a policy."""
    require_name("scaffold", scaffold.name)
    require_summary("scaffold", scaffold.name, scaffold.summary)
    require(scaffold.version.strip(), f"scaffold {scaffold.name}: a version is needed, to tell runs apart")
    require(scaffold.rules(task).strip(), f"scaffold {scaffold.name}: the rules are empty")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "policy.py"
        code.write_text("import random\nprint(random.sample(range(100), 10))\n")
        blob = hashlib.sha256(code.read_bytes()).hexdigest()
        with_policy = SubmitRequest(
            key="contract-1", data="0" * 64, policy=(PolicyFile(path="policy.py", blob=blob),), note="a note"
        )
        _check_problems(scaffold, scaffold.gate(with_policy, {"policy.py": code}))
        binary = Path(folder) / "weights.py"
        binary.write_bytes(bytes(range(256)))
        _check_problems(scaffold, scaffold.gate(with_policy, {"policy.py": binary}))
    without = SubmitRequest(key="contract-2", data="0" * 64, policy=())
    refused = scaffold.gate(without, {})
    _check_problems(scaffold, refused)
    require(refused, f"scaffold {scaffold.name}: a submission without the code that made it must be refused")


def _check_problems(scaffold: Scaffold, problems: object) -> None:
    require(
        isinstance(problems, list | tuple) and all(isinstance(problem, Problem) for problem in problems),
        f"scaffold {scaffold.name}: gate returns a list or tuple of Problem",
    )
