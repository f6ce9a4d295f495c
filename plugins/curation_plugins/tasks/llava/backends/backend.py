"""The interface of the engines that answer benchmark items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from curation_plugins.errors import WorkFailed
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem

Progress = Callable[[str, float], None]


class PromptsDiffer(WorkFailed):
    """The engine reads a prompt as other tokens than training did: its answers would be to another question."""


@dataclass(frozen=True)
class Request:
    """One answer wanted; greedy, at most `max_tokens` tokens."""

    text: str
    """Put to the model after the images."""
    images: tuple[Path, ...]
    max_tokens: int


class Backend(ABC):
    """Answers requests with one checkpoint at a time.

    `load`, any number of `answer`, `rest`; then `load` again. Answers are a function of checkpoint, request and
    settings: nothing that was computed under another checkpoint may be left over.
    """

    name: ClassVar[str]

    @abstractmethod
    def load(self, model: Path) -> None:
        """Takes over the weights of a checkpoint folder (Hugging Face layout, adapters merged).

        Raises:
            AssetsInvalid: it is of another model, or holds numbers that are none.
        """

    @abstractmethod
    def answer(self, requests: Sequence[Request], progress: Progress) -> list[str | None]:
        """One stripped text a request; none where prompt and answer do not fit into the context.

        Raises:
            PromptsDiffer: see there.
        """

    @abstractmethod
    def rest(self) -> None:
        """Gives back the accelerator's memory until the next `load`."""

    @abstractmethod
    def about(self) -> dict[str, str]:
        """What decides over the last bits of an answer: versions, device, settings in force."""


def request_of(item: BenchmarkItem, folder: Path) -> Request:
    """An item as a model is asked that takes all its images first, as the families here do.

    Args:
        folder: the benchmarks folder.
    """
    images = tuple(folder / name for name in item.asked_images())
    return Request(text=item.asked_text(), images=images, max_tokens=item.max_tokens)
