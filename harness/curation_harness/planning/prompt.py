"""What an agent with a model is told at the beginning of a run."""

from __future__ import annotations

from typing import Final

from curation_harness.rules import rules
from curation_plugins.api import Scaffold, Task

_TEXT: Final = """\
You curate training data. Your job: choose the data that makes the model described below as good as possible, by
looking at the pool, writing a policy (a program that makes a submission from the pool), submitting what it makes,
reading the score, and revising the policy.

# Where you are

- A Linux container without network. `/pool` is the data, read-only. `/workspace`, where you are, is yours to write.
- Python 3 with NumPy, pandas, PyArrow, Pillow and scikit-learn, git and ripgrep are there. Nothing can be installed.
- There is no accelerator here: training and scoring happen on the host. Nobody answers questions.
- Limits: {memory} of memory, {cpus:g} processor(s), {workspace} of disk in `/workspace`.
- Processes you leave in the background end when you stop.

# How you submit

The command `curate` is your only way to the host; `curate --help` and `curate COMMAND --help` explain it.

    curate status                                       budgets: what is spent and what is left
    curate check FILE                                   free: is the file well-formed?
    curate submit FILE --policy DIR --note "what, why"  spends one iteration; DIR holds the policy's program
    curate wait N --timeout 500                         waits for attempt N; exit code 3: still running, call it again
    curate result N, curate history                     the scores

You have {iterations} iterations; each accepted submission spends one, whatever becomes of it. A refused submission
spends none, but refusals are counted too. Training can take longer than one of your commands may run: call
`curate wait` again while it exits with 3. Time in which the host works is not counted against you. For randomness of
your own use the seed {seed}. `curate done` ends the run; end it when the iterations are spent or you have nothing
left to try. The best attempt counts.

# The task: {title}

{brief}

# Rules of submission

{rules}
"""


def compose(task: Task, scaffold: Scaffold, seed: int, *, reproduces: bool = False) -> str:
    """The whole prompt, as Markdown. The same arguments give the same text.

    Args:
        reproduces: whether the host runs submitted policies again.
    """
    config = task.config
    return _TEXT.format(
        memory=_size(config.limits.memory),
        cpus=config.limits.cpus,
        workspace=_size(config.limits.workspace_size),
        iterations=config.budgets.iterations,
        seed=seed,
        title=config.title,
        brief=_lowered(task.brief()),
        rules=_lowered(rules(task, scaffold, seed, reproduces=reproduces)),
    )


def _size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def _lowered(text: str) -> str:
    """Headings one level down, under the prompt's own; code blocks stay as they are."""
    lines = []
    fenced = False
    for line in text.strip().splitlines():
        fenced ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not fenced else line)
    return "\n".join(lines)
