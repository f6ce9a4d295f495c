"""The root of every error of the project, and the sandbox layer's own (exit codes 10-19).

CurationError                     1   root of all three layers' errors
 ├─ EngineUnavailable            10   no Docker engine answers
 ├─ EngineTooOld                 11
 ├─ ImageMissing                 12
 ├─ ImageBuildFailed             13
 ├─ ContainerFailed              14   we failed: the engine broke, not the agent
 │   └─ ContainerGone            14   it was removed behind our back
 ├─ DiskFull                     15
 ├─ SandboxPropertyMissing       16   an isolation property does not hold on this machine
 ├─ SocketPathTooLong            17
 ├─ ProviderUnreachable          18   the model provider does not answer
 └─ KeyRefused                   19   the model provider does not take the key

The plugin layer uses 20-39 (``curation_plugins.errors``), the harness 40-69 (``curation_harness.errors``).
"""

from __future__ import annotations


class CurationError(Exception):
    """What happened, where to look, and, in ``hint``, what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class EngineUnavailable(CurationError):
    exit_code = 10


class EngineTooOld(CurationError):
    exit_code = 11


class ImageMissing(CurationError):
    exit_code = 12


class ImageBuildFailed(CurationError):
    exit_code = 13


class ContainerFailed(CurationError):
    exit_code = 14


class ContainerGone(ContainerFailed):
    """The engine no longer has it: somebody removed it, or the engine began anew without it."""


class DiskFull(CurationError):
    exit_code = 15


class SandboxPropertyMissing(CurationError):
    exit_code = 16


class SocketPathTooLong(CurationError):
    exit_code = 17


class ProviderUnreachable(CurationError):
    exit_code = 18


class KeyRefused(CurationError):
    exit_code = 19
