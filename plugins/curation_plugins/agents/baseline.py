"""An agent without a model: one published selection method per iteration."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from curation_plugins.agents.options import options_of, refuse_options, shown_folder
from curation_plugins.agents.programs import FOLDER, TARGET
from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest
from curation_sandbox.spec import Mount

_EXTRA: Final = "/opt/curation/extra"


class BaselineOptions(AgentOptions):
    """Options of ``--agent baseline``."""

    method: (
        Literal[
            "random", "source-balanced", "length-top", "similarity-top", "similarity-band", "loss-top", "el2n-top",
            "loss-band", "near-duplicates", "semdedup", "k-center", "d2", "typiclust", "coincide", "dsir", "icons",
            "ards", "template-rewrite", "combined", "no-filter", "english", "basic", "clip-b32", "clip-l14",
            "clip-band", "clip-threshold", "laion2b", "text-based", "image-based", "tmars", "neg-clip-loss",
            "random-fraction", "intersection", "image-and-clip",
        ]
        | None
    ) = None  # fmt: skip
    """One method of docs/baselines.md, with a new seed in every iteration; left out, one method after another."""
    extra: Path | None = None
    """Folder with what a method needs beside the pool: lists and labels as tables, ``target.txt`` and its like."""


class BaselineAgent(Agent):
    name = "baseline"
    summary = "no model: one published selection method per iteration, random first"
    options_class = BaselineOptions

    def launch(self, request: AgentRequest) -> AgentLaunch:
        refuse_options(self.name, request)
        options = options_of(request, BaselineOptions)
        arguments = () if options.method is None else ("--only", options.method)
        return baseline_launch(request, *arguments, extra=options.extra)


def baseline_launch(request: AgentRequest, *arguments: str, extra: Path | None = None) -> AgentLaunch:
    """The start of the baseline's program.

    ``-P`` keeps the working directory off the import path: a file that an earlier process left in
    the workspace must not stand in for a module.

    Raises:
        ConfigInvalid: ``extra`` is no folder that the agent could read.
    """
    mounts = [Mount(source=FOLDER, target=TARGET)]
    if extra is not None:
        hint = "docs/baselines.md says what belongs into it."
        mounts.append(shown_folder("--agent-option extra", extra, _EXTRA, hint))
        arguments = (*arguments, "--extra", _EXTRA)
    return AgentLaunch(
        command=("python3", "-P", "-m", "baseline", *arguments),
        image=request.task.config.image,
        environment={"PYTHONPATH": TARGET},
        mounts=tuple(mounts),
    )
