"""The scaffold that names the families of strategies and asks for nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation_plugins.api import Scaffold, Task
from curation_plugins.gating import GateView
from curation_plugins.scaffolds.open import PROTOCOL, require_policy
from curation_sandbox.protocol import Problem


class GuideScaffold(Scaffold):
    name = "guide"
    summary = "the protocol, and a list of the families of strategies for choosing data"
    version = "1"

    def rules(self, task: Task) -> str:
        return f"{PROTOCOL}\n\n{_FAMILIES}"

    def gate(self, submission: GateView) -> Sequence[Problem]:
        return require_policy(submission)


_FAMILIES: Final = """\
Ways to choose training data, by what decides:

- **Filtering.** A number per row, computed on its own, and a rank, band or threshold over it: agreement of image
  and text, loss or error of a model, a learnt judge of quality.
- **Coverage.** Each row is chosen for what it adds to those chosen already: clusters, farthest points, typical
  points, graphs of neighbours, removal of near-copies.
- **Influence.** What a training step on the row does to the model or to a target: gradients and their products,
  losses before and after.
- **Matching.** Rows that look as if drawn from what is to be learnt: importance weights, retrieval, distances between
  distributions.
- **Mixture.** How much comes from where: shares that are learnt from losses or from trials, not set by hand.
- **Curriculum.** What is seen when and how often: order, repetition, rows that the model can learn now.
- **Synthesis.** New or rewritten rows, where the task takes them.

Families can be combined: a filter before coverage, influence inside clusters. What a family yields on this pool is
seen in the scores by benchmark, and a difference below the noise floor is none.
"""
