"""The scaffold under which every attempt tests a written hypothesis."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from curation_plugins import policies
from curation_plugins.api import Scaffold, Task
from curation_plugins.gating import GateView
from curation_plugins.scaffolds import code_gate, research_file
from curation_plugins.scaffolds.open import PROTOCOL, require_policy
from curation_sandbox.protocol import Problem


class ResearchScaffold(Scaffold):
    name = "research"
    summary = (
        "each attempt states an observation with its evidence, a testable hypothesis and the change that tests it"
    )
    version = "1"
    reproduces: ClassVar[bool] = True

    def rules(self, task: Task) -> str:
        return f"{PROTOCOL}\n\n{_RULES}"

    def sources(self) -> Sequence[Path]:
        here, reader = Path(__file__).parent, Path(policies.__file__).parent
        return (*sorted(here.glob("*.py")), *sorted(reader.glob("*.py")))

    def gate(self, submission: GateView) -> Sequence[Problem]:
        absent = require_policy(submission)
        if absent:
            return absent
        code, problems = code_gate.readable(submission)
        draft = research_file.RESEARCH.read(submission.policy)
        research_file.check(submission, code, draft)
        return [*problems, *draft.problems]


_RULES: Final = f"""\
Every attempt tests a hypothesis. Beside `policy.py` lies `research.yaml`:

    observation: what you see in the scores so far, in a sentence or two
    evidence:
      - {{attempt: 3, benchmark: counting, score: 0.412}}
    hypothesis: {{benchmark: counting, direction: up, by: 0.03, because: why this score should move}}
    change:
      attempt: 3
      functions: ["policy.py:rank"]
      what: what is changed against that attempt to test the hypothesis, and no more

Before the first score `evidence` is `[]`, `change.attempt` is `null` and `functions` is `[]`.

A submission is refused, with every reason at once, unless
- `evidence` quotes the last attempt that has a score, and all figures are those you were told (two decimals or more);
- the hypothesis is about a score that exists, quoted in `evidence`, and `by` is no smaller than what chance alone
  does to it (the noise floor for `mean`, the standard error for a benchmark);
- `change.attempt` is an attempt of this run, and `change.functions` names all code that differs from it, and only
  that (`file.py:<module>` for code outside functions, `file.yaml` for a file that is no code);
- `observation` and `because` are not those of an earlier attempt;
- its code can be read: UTF-8, the grammar of Python {sys.version_info[0]}.{sys.version_info[1]}.
"""
