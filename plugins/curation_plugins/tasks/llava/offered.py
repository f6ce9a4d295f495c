"""What `curate signal` offers in the LLaVA tasks. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curation_plugins.hub.wanted import HubSource, Want
from curation_plugins.tasks.llava import layout, shipping
from curation_sandbox.protocol import SignalInfo

NEIGHBOURS = "neighbours"

CLIP_MODEL = Want(
    name="clip",
    what="CLIP-L/14-336, for similarities and embeddings",
    source=HubSource(
        repo="openai/clip-vit-large-patch14-336",
        revision="ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
        files=("*.json", "*.txt", "*.safetensors", "pytorch_model.bin"),
        bytes=1_710_000_000,
    ),
)

SIGNALS = (
    SignalInfo(
        name="answer-loss",
        description="mean loss of the answer's tokens and the end token",
        unit="nats per answer token",
        of_attempts=True,
    ),
    SignalInfo(
        name="el2n",
        description="mean length of (softmax - one-hot) over the answer's tokens",
        unit="number from 0 to 1.42",
        of_attempts=True,
    ),
    SignalInfo(
        name="embedding",
        description="last hidden state, mean over the row's image and text positions",
        unit="vector of the model's width",
        of_attempts=True,
        rows_max=20_000,
    ),
    SignalInfo(
        name="gradient",
        description="gradient of the row's mean answer loss in all linear layers of the language model but the output"
        " one, projected with random signs, the same in every request",
        unit="vector of 256 floats",
        of_attempts=True,
        rows_max=20_000,
    ),
    SignalInfo(
        name=NEIGHBOURS,
        description="the 10 nearest rows of the whole pool by cosine of the embeddings that ship with it",
        unit="10 row ids, then their 10 cosines",
        rows_max=50_000,
    ),
)


def shipped() -> Mapping[str, Want | None]:
    """What `harness signals` measures over a fetched pool → the model it takes; none: the base model."""
    return {shipping.FACTS: None, shipping.CLIP: CLIP_MODEL, shipping.LOSS: None}


def missing(name: str, assets: Path, task: str) -> str | None:
    """Why a signal cannot be had from these files; none: it can."""
    if name == NEIGHBOURS and layout.pool_vectors(assets) is None:
        return f"no embeddings ship with this pool (`harness signals {task}` makes them)"
    return None
