"""Random rows whose questions are put in another wording; the answers stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool

IMAGE_MARK = "<image>"
OPENINGS = (
    "", "Please answer the following. ", "Here is a question for you. ", "Have a look and respond: ",
    "Consider this carefully. ", "Task: ", "Question: ", "Read the request below. ",
)  # fmt: skip
BODIES = ("{question}", "{question}", '"{question}"', "({question})")
CLOSINGS = ("", "", "\nAnswer:", "\nYour answer:", "\nReply to the point.", "\nGive your response.")
"""Their combinations are the templates; ours, as the paper's 15,000 come with no licence that we know."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows."""
    return draw(pool.ids, count, rng)


def rewrite(record: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The record with every human turn put through a template of its own.

    The question is formatted into the template, and ``<image>`` stays in front of it all, on its own line, as the
    training file has it.
    """
    turns = [
        {**turn, "value": _reworded(str(turn["value"]), rng)} if turn["from"] == "human" else dict(turn)
        for turn in record["conversations"]
    ]
    return {**record, "conversations": turns}


def _reworded(value: str, rng: np.random.Generator) -> str:
    question = value.replace(IMAGE_MARK, "").strip()
    opening, body, closing = (str(parts[rng.integers(len(parts))]) for parts in (OPENINGS, BODIES, CLOSINGS))
    text = opening + body.replace("{question}", question) + closing
    return f"{IMAGE_MARK}\n{text}" if IMAGE_MARK in value else text


METHOD = Method(
    name="template-rewrite",
    summary="random rows whose questions are reworded by templates; for tasks that take records",
    citation="Wang et al. 2024, Template Matters: Understanding the Role of Instruction Templates in Multimodal"
    " Language Model Evaluation and Training, arXiv:2412.08307",
    where="section 3: questions put into templates drawn at random",
    differs="templates of our own, some 150 combinations",
    needs=("content",),
    settings=({},),
    select=select,
    rewrite=rewrite,
)
