"""How a benchmark's question is put to a model. The sentences are part of the published protocols and fixed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from curation_plugins.errors import AssetsInvalid

PromptStyle = Literal["dataset", "llava", "qwen2-vl"]
"""``dataset``: VLMEvalKit's own prompts, which the evaluator of arXiv 2606.04261 uses for LLaVA-1.5
(vendor/VLMEvalKit/vlmeval/vlm/llava15_eval.py at 5f9cf529 has no prompt of its own); the default.
``llava``: what VLMEvalKit's original LLaVA wrapper asks. ``qwen2-vl``: what its Qwen2-VL wrapper asks.
"""

_SELECT = "Please select the correct answer from the options above."


def choice_prompt(style: PromptStyle, question: str, hint: str, options: Mapping[str, str]) -> str:
    """The text of a multiple-choice question; without options, of an open one among them (MMMU).

    ``dataset``: VLMEvalKit dataset/image_mcq.py L212-247. ``llava``: vlm/llava/llava.py L86-126.
    ``qwen2-vl``: vlm/qwen2_vl/prompt.py L58-125.
    """
    lettered = [f"{letter}. {text}" for letter, text in options.items()]
    if style == "llava":
        ending = (
            "Answer with the option's letter from the given choices directly."
            if options
            else "Answer the question directly."
        )
        return "\n".join([*([hint] if hint else []), question, *lettered, ending])
    lines = [*([f"Hint: {hint}"] if hint else []), f"Question: {question}"]
    if options:
        lines.extend(["Options:", *lettered, f"{_SELECT} "])
    text = "\n".join(lines) + "\n"
    return text.rstrip() if style == "qwen2-vl" else text


def yes_no_prompt(style: PromptStyle, question: str) -> str:
    """The text of a yes/no question: bare, but for ``qwen2-vl`` (vlm/qwen2_vl/prompt.py L127-141).

    VLMEvalKit dataset/image_yorn.py L31-39 asks HallusionBench's questions as they are, so that a model that does not
    say yes or no is unscored.
    """
    return f"{question} Please answer yes or no." if style == "qwen2-vl" else question


def open_prompt(style: PromptStyle, question: str, *, short: bool = True) -> str:
    """The text of an open question: bare, but for ``qwen2-vl`` (vlm/qwen2_vl/prompt.py L26-42, L143-157).

    Args:
        short: whether ``qwen2-vl`` asks for a short answer; its wrapper does so for all but MMVet.
    """
    if style == "qwen2-vl" and short:
        return f"{question}\nPlease try to answer the question with short words or phrases if possible."
    return question


def images_first(text: str, images: int) -> tuple[int | str, ...]:
    """All images, then the text."""
    return (*range(images), text)


def images_in_place(text: str, images: int, where: str) -> tuple[int | str, ...]:
    """Images where the text says `<image N>`, N from 1; all of them first if it says so nowhere.

    VLMEvalKit dataset/image_mcq.py L514-540. An image named twice is shown twice, one never named is not shown; an
    empty piece of text stays, since pieces are later joined by line breaks.

    Raises:
        AssetsInvalid: an image is named that the row does not have.
    """
    pieces = re.split(r"<image (\d)>", text)
    if len(pieces) == 1:
        return images_first(text, images)
    parts: list[int | str] = [pieces[0]]
    for number, following in zip(pieces[1::2], pieces[2::2], strict=True):
        if not 1 <= int(number) <= images:
            raise AssetsInvalid(f"{where}: the question names image {number} of {images}")
        parts.extend((int(number) - 1, following))
    return tuple(parts)
