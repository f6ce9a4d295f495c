"""The rules an agent reads: its scaffold's, and what the host asks of every policy where it runs them again."""

from __future__ import annotations

from typing import Final

from curation_plugins.api import Scaffold, Task

_AGAIN: Final = """\


Your policy is run again by the host before a submission is accepted: in a fresh container of this image, without
network, without `curate`, without your workspace, in the policy's own folder (read-only), as

    python policy.py --pool /pool --history /history --seed {seed} --out FILE

for at most {seconds:g} seconds, with the memory, processors and threads you have here. It must write the same rows
with the same weights, or the submission is refused with the difference. `/history` is what
`curate history --save DIR` writes: the scores, the rows of earlier attempts, every signal value bought in this run. A
policy is code and carries no data: text files of 1 MB together, and nothing in it that names more than 50 rows.
`curate reproduce FILE --policy DIR` tries all that first, free."""


def rules(task: Task, scaffold: Scaffold, seed: int, *, reproduces: bool) -> str:
    """Markdown.

    Args:
        seed: what policies are given as ``--seed``.
        reproduces: whether the host runs policies again in this run.
    """
    text = scaffold.rules(task).rstrip()
    if not reproduces:
        return text
    return text + _AGAIN.format(seed=seed, seconds=task.config.budgets.reproduce_seconds)
