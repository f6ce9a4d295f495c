"""The errors of the plugin layer (exit codes 20-39).

CurationError (curation_sandbox.errors)
 └─ PluginLayerError              20
     ├─ UnknownName               21  no task, agent, scaffold or engine of that name
     ├─ PluginBroken              22  a plugin could not be imported or breaks a hook's rules
     ├─ ConfigInvalid             23  a task.yaml or an override is wrong
     ├─ AssetsInvalid             24  a task's files are missing, damaged or changed
     ├─ AssetsMissing             27  a task's files were not fetched yet
     ├─ DownloadFailed            28  a server does not give what a task needs
     │   └─ DownloadDamaged       28  what came is not what was wanted
     ├─ ReaderFailed              29  we failed: the process that reads policies did not start or answer
     └─ WorkFailed                25  we failed: training or scoring did not come to an end
         ├─ WorkerCrashed         25  the worker process died
         ├─ WorkerTimeout         25  it said nothing for too long and was killed as hung
         │   └─ WorkerOverdue     25  it ran past its time limit and was killed
         ├─ WorkerOutOfMemory     25  it went past its memory limit, or the machine's, or the GPU's
         ├─ WorkerDiskFull        25  the disk it writes to is full
         ├─ WorkerRaised          25  the worker's code raised
         ├─ WorkerReplyInvalid    25  it answered something that is not the promised result
         ├─ WorkAbandoned         25  the harness itself died over it again and again
         └─ WorkStopped           26  the run is ending: the work was given up, nothing else failed

``SubmissionRefused`` is no error of ours: it carries the reasons why an agent's submission is not accepted.
"""

from __future__ import annotations

from curation_sandbox.errors import CurationError
from curation_sandbox.protocol import Problem


class PluginLayerError(CurationError):
    exit_code = 20


class UnknownName(PluginLayerError):
    exit_code = 21


class PluginBroken(PluginLayerError):
    exit_code = 22


class ConfigInvalid(PluginLayerError):
    exit_code = 23


class AssetsInvalid(PluginLayerError):
    exit_code = 24


class AssetsMissing(PluginLayerError):
    exit_code = 27


class DownloadFailed(PluginLayerError):
    exit_code = 28


class DownloadDamaged(DownloadFailed):
    pass


class ReaderFailed(PluginLayerError):
    """The child process that reads policies could not be started, or answered nonsense."""

    exit_code = 29


class WorkFailed(PluginLayerError):
    """The harness failed, not the agent: retried, refunded, recorded."""

    exit_code = 25
    again = True
    """Whether the same job may come out better in a fresh worker."""


class WorkerCrashed(WorkFailed):
    pass


class WorkerTimeout(WorkFailed):
    pass


class WorkerOverdue(WorkerTimeout):
    """It was at work until the end of its time: a second try would be as slow."""

    again = False


class WorkerOutOfMemory(WorkFailed):
    pass


class WorkerDiskFull(WorkFailed):
    """No matter of the rows: the attempt stays unfinished, and the run stops until there is room."""


class WorkerRaised(WorkFailed):
    pass


class WorkerReplyInvalid(WorkFailed):
    pass


class WorkAbandoned(WorkFailed):
    """The process of the harness died several times during one attempt, which may have killed it."""

    again = False


class WorkStopped(WorkFailed):
    """The engine's session was closed while a job ran or waited: the attempt is unfinished, not failed."""

    exit_code = 26


class ProblemList:
    """Reasons found so far: the first ``LISTED`` in full, the rest as a number, so that a hostile file of
    millions of bad lines costs no memory."""

    LISTED = 50

    def __init__(self) -> None:
        self.listed: list[Problem] = []
        self.unlisted = 0

    def add(self, code: str, message: str, row: int | None = None) -> None:
        if len(self.listed) < self.LISTED:
            self.listed.append(Problem(code=code, message=message, row=row))
        else:
            self.unlisted += 1

    def __len__(self) -> int:
        return len(self.listed) + self.unlisted


class SubmissionRefused(Exception):
    """An agent's submission is not accepted; carries every reason."""

    def __init__(self, problems: ProblemList) -> None:
        super().__init__(f"{len(problems)} problem(s)")
        self.problems = tuple(problems.listed)
        self.more_problems = problems.unlisted
