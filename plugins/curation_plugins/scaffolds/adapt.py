"""The scaffold under which every attempt cites, instantiates and adapts a published method."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import ClassVar, Final

from curation_plugins import policies
from curation_plugins.api import Scaffold, Task
from curation_plugins.gating import GateView
from curation_plugins.methods.library import MethodLibrary
from curation_plugins.scaffolds import code_gate, limits, method_file
from curation_plugins.scaffolds.open import PROTOCOL, require_policy
from curation_sandbox.protocol import Problem

IN_A_ROW: Final = 2
"""Attempts in a row that may cite the same family and no other."""


class AdaptScaffold(Scaffold):
    name = "adapt"
    summary = "each attempt cites a method card, instantiates its steps in code that runs, and says what it adapted"
    version = "1"
    reproduces: ClassVar[bool] = True

    def rules(self, task: Task) -> str:
        return f"{PROTOCOL}\n\n{_RULES}"

    def __init__(self, library: MethodLibrary | None = None) -> None:
        self._library = library or MethodLibrary()

    def cards(self) -> MethodLibrary:
        return self._library

    def cites(self, policy: Mapping[str, Path]) -> tuple[str, ...]:
        try:
            written = method_file.METHOD.read(policy).value
        except OSError:
            return ()
        return () if written is None else written.cards

    def sources(self) -> Sequence[Path]:
        here, reader = Path(__file__).parent, Path(policies.__file__).parent
        return (*sorted(here.glob("*.py")), *sorted(reader.glob("*.py")))

    def gate(self, submission: GateView) -> Sequence[Problem]:
        absent = require_policy(submission)
        if absent:
            return absent
        library = self.cards()
        code, problems = code_gate.readable(submission)
        draft = method_file.METHOD.read(submission.policy)
        method_file.check(submission, library, code, draft)
        problems += draft.problems
        if draft.readable is not None:
            families = {card.family for name in draft.readable.cards if (card := library.get(name)) is not None}
            rotation = self._rotation(submission, library, families)
            if rotation is not None:
                problems.append(draft.problem("same-family", ("cards",), rotation))
        if code is not None:
            problems += code_gate.readable_throughout(submission, code)
            problems += code_gate.not_an_earlier_one(submission, code)
            problems += code_gate.not_an_earlier_selection(submission, code)
            problems += code_gate.not_metadata_alone(submission, code)
            problems += code_gate.no_source_named(submission, code)
        return problems

    def _rotation(self, view: GateView, library: MethodLibrary, families: AbstractSet[str]) -> str | None:
        """After two attempts in a row that have a family in common, one of another family has to be among the
        cards."""
        last = [earlier for earlier in view.earlier if earlier.outcome == "accepted"][-IN_A_ROW:]
        if len(last) < IN_A_ROW or not families:
            return None
        used = [
            {card.family for name in earlier.cited if (card := library.get(name)) is not None} for earlier in last
        ]
        if not families <= set.intersection(*used):
            return None
        names = " and ".join(f"attempt {earlier.n}" for earlier in last)
        return f"{', '.join(sorted(families))} is what {names} cited too; cite a card of another family now"


_RULES: Final = f"""\
Every attempt starts from a published method. `curate methods` lists the method cards (`--family F`, `--search TEXT`);
`curate methods ID` shows one.

Beside `policy.py` lies `method.yaml`:

    failure: what goes wrong in the last scores, in a sentence or two
    evidence:
      - {{attempt: 3, benchmark: mean, score: 0.4321}}
    cards: [card-id]
    steps:
      - {{card: card-id, step: s1, function: "policy.py:embed"}}
      - {{card: card-id, step: s2, left_out: why nothing of the policy does this step}}
    adapted: what differs from the card, and why this pool or these scores ask for it

Before the first score `evidence` is `[]`, and `failure` says what is wrong in the pool.

A submission is refused, with every reason at once, unless
- `evidence` quotes the last attempt that has a score, and all figures are those you were told (two decimals or more);
- it cites 1 to {method_file.MAX_CARDS} cards that exist and that you read in this run;
- `steps` has each step of each card once, at least half of a card's steps done by a function, no function for more
  than {method_file.STEPS_A_FUNCTION}; each such function exists, computes something that reaches what is written, and
  is entered when the host runs the policy;
- `failure` and `adapted` are not those of an earlier attempt;
- the procedure is not that of an earlier attempt (or of a try that was refused as quotas or for a source's name) with
  other names, numbers, order or metadata rules, and its rows are not nearly those of an earlier attempt (overlap at
  most {limits.MAX_OVERLAP});
- something of the rows' content decides, not only source, length, turn count, other metadata, constants and chance;
  and a shallow tree on source, length and turn count cannot tell the selected rows (AUC at most
  {limits.MAX_AUC}, from {limits.TREE_LEAST} rows on), and no source is named in the code;
- after {IN_A_ROW} attempts in a row that cite one family, a card of another is among the cards;
- its code can be read: UTF-8, the grammar of Python {sys.version_info[0]}.{sys.version_info[1]}, no `exec`, `eval`,
  other processes, computed names or foreign folders in `sys.path`; a name is one function's, a file one module's and
  none of Python's own; and the call that writes the rows is seen in it.
"""
