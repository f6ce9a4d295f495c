"""The scaffold that lays out method cards to read and asks for nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation_plugins.api import Scaffold, Task
from curation_plugins.gating import GateView
from curation_plugins.methods.library import MethodLibrary
from curation_plugins.scaffolds.open import PROTOCOL, require_policy
from curation_sandbox.protocol import Problem


class ReferencesScaffold(Scaffold):
    name = "references"
    summary = "the protocol, and cards of published methods to read with `curate methods`"
    version = "1"

    def __init__(self, library: MethodLibrary | None = None) -> None:
        self._library = library or MethodLibrary()

    def rules(self, task: Task) -> str:
        return f"{PROTOCOL}\n\n{_CARDS}"

    def cards(self) -> MethodLibrary:
        return self._library

    def gate(self, submission: GateView) -> Sequence[Problem]:
        return require_policy(submission)


_CARDS: Final = """\
Published methods are at hand as cards: what each reads, its procedure step by step, its parameters with the published
defaults, what it costs, when it fails, how it was used for images with text. `curate methods` lists them, `curate
methods --family F` those of one family (acquisition, filtering, selection, gradient, mixture, synthesis,
curriculum), `curate methods --search TEXT` those with these words, `curate methods ID` shows a card.
"""
