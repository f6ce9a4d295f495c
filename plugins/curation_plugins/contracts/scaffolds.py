"""The contract of a scaffold."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from curation_plugins import selection as selections
from curation_plugins.api import Scaffold, Task
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_plugins.gating import GateView, PoolMetadata
from curation_sandbox.protocol import PolicyFile, Problem, SubmitRequest


def check_scaffold(scaffold: Scaffold, task: Task) -> None:
    """Check a scaffold's words, and its gate on submissions with and without a policy."""
    require_name("scaffold", scaffold.name)
    require_summary("scaffold", scaffold.name, scaffold.summary)
    require(scaffold.version.strip(), f"scaffold {scaffold.name}: a version is needed, to tell runs apart")
    require(scaffold.rules(task).strip(), f"scaffold {scaffold.name}: the rules are empty")
    require(
        scaffold.rules(task) == scaffold.rules(task), f"scaffold {scaffold.name}: the rules change when read again"
    )
    require(
        scaffold.digest(task) == scaffold.digest(task),
        f"scaffold {scaffold.name}: the digest changes when read again",
    )
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "policy.py"
        code.write_text("import random\nprint(random.sample(range(100), 10))\n")
        _check_problems(scaffold, {"policy.py": code})
        binary = Path(folder) / "weights.py"
        binary.write_bytes(bytes(range(256)))
        _check_problems(scaffold, {"policy.py": binary, "method.yaml": binary, "research.yaml": binary})
    refused = _check_problems(scaffold, {})
    require(refused, f"scaffold {scaffold.name}: a submission without the code that made it must be refused")


def _check_problems(scaffold: Scaffold, policy: Mapping[str, Path]) -> bool:
    """Whether the gate refuses a policy; its answer has to be of the right kind, whatever the policy is."""
    files = tuple(
        PolicyFile(path=path, blob=hashlib.sha256(file.read_bytes()).hexdigest()) for path, file in policy.items()
    )
    problems: object = scaffold.gate(
        GateView(
            request=SubmitRequest(key="contract-1", data="0" * 64, policy=files, note="a note"),
            policy=policy,
            selection=selections.of_rows(list(range(10))),
            pool=PoolMetadata(100, dict),
        )
    )
    require(
        isinstance(problems, list | tuple) and all(isinstance(problem, Problem) for problem in problems),
        f"scaffold {scaffold.name}: gate returns a list or tuple of Problem",
    )
    cited: object = scaffold.cites(policy)
    require(
        isinstance(cited, tuple) and all(isinstance(name, str) for name in cited),
        f"scaffold {scaffold.name}: cites returns a tuple of card ids",
    )
    return bool(problems)
