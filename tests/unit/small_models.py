"""Checkpoint folders of every family in seconds: the true classes with small configurations, and a tokenizer trained
here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from curation_plugins.tasks.llava.rows import Row

NAMES = ("llava-1.5", "qwen2-vl", "qwen2.5-vl", "smolvlm")

_SPECIAL = {
    "llava-1.5": ["<pad>", "<unk>", "<s>", "</s>", "<image>"],
    "qwen2-vl": [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
    ],
    "smolvlm": [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<end_of_utterance>",
        "<fake_token_around_image>",
        "<global-img>",
        "<image>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
    ],
}
_SPECIAL["qwen2.5-vl"] = _SPECIAL["qwen2-vl"]

TEXTS = [
    "USER: What is it? ASSISTANT: a red circle",
    "User: hello Assistant: hi",
    "system user assistant You are a helpful assistant.",
    "a? b? yes no",
]


def make(name: str, folder: Path, vocabulary: int = 0) -> Path:
    """Writes a model with random weights, tokenizer and image processor, as they are published.

    Args:
        vocabulary: at least so many rows of the embedding and the output layer.
    """
    torch.manual_seed(0)
    tokenizer = _tokenizer(name)
    ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in _SPECIAL[name]}
    model, images = _MAKERS[name](max(len(tokenizer), vocabulary), ids)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    return folder


def make_assets(name: str, folder: Path, rows: int = 24, vocabulary: int = 0) -> Path:
    """An assets folder without benchmarks: base model, and a pool of images of several sizes and texts."""
    make(name, folder / "base", vocabulary)
    (folder / "pool" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for place in range(rows):
        image = f"images/{place}.png" if place % 4 else None
        if image is not None:
            side = rng.integers(24, 90, size=2)
            pixels = rng.integers(0, 255, size=(int(side[0]), int(side[1]), 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pool" / image)
        lines.append(row("What is it? " * int(rng.integers(1, 4)), "a red circle" * (1 + place % 3), image=image))
    text = "".join(line.model_dump_json(by_alias=True) + "\n" for line in lines)
    (folder / "pool" / "rows.jsonl").write_text(text)
    return folder


def row(*turns: str, image: str | None = "i.png") -> Row:
    """Human first, then in turn."""
    sides = [("human", "gpt")[n % 2] for n in range(len(turns))]
    pairs = [{"from": side, "value": text} for side, text in zip(sides, turns, strict=True)]
    if image is not None:
        pairs[0]["value"] = f"<image>\n{pairs[0]['value']}"
    return Row.model_validate({"id": "0", "image": image, "conversations": pairs})


def _tokenizer(name: str) -> Any:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in _SPECIAL[name]]
    trainer = trainers.BpeTrainer(
        vocab_size=340 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    if name == "llava-1.5":
        return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")
    # as published: the base model's end of text, not of a turn
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|endoftext|>", eos_token="<|endoftext|>")


def _text(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "bos_token_id": None,
    }


def _llava(vocabulary: int, ids: dict[str, int]) -> tuple[Any, Any]:
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=32,
    )
    text = LlamaConfig(**_text(vocabulary), pad_token_id=ids["<pad>"], eos_token_id=ids["</s>"])
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=ids["<image>"], image_seq_length=4)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return LlavaForConditionalGeneration(config), images


def _qwen(vocabulary: int, ids: dict[str, int], *, newer: bool) -> tuple[Any, Any]:
    text = _text(vocabulary) | {
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "pad_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
    }
    vision: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2}
    if newer:
        vision |= {"hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 64, "fullatt_block_indexes": [1]}
        vision |= {"window_size": 56}
    else:
        vision |= {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
    special = {
        "image_token_id": ids["<|image_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "video_token_id": vocabulary + 1,
    }
    images = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=112 * 112)
    if newer:
        config: Any = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **special)
        return Qwen2_5_VLForConditionalGeneration(config), images
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **special)
    return Qwen2VLForConditionalGeneration(config), images


def _smolvlm(vocabulary: int, ids: dict[str, int]) -> tuple[Any, Any]:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    end = ids["<|endoftext|>"]
    text = _text(vocabulary) | {"model_type": "llama", "pad_token_id": end, "eos_token_id": end}
    config = Idefics3Config(
        vision_config=vision, text_config=text, image_token_id=ids["<image>"], scale_factor=2, pad_token_id=end
    )
    images = Idefics3ImageProcessorPil(size={"longest_edge": 96}, max_image_size={"longest_edge": 32})
    return Idefics3ForConditionalGeneration(config), images


_MAKERS: dict[str, Any] = {
    "llava-1.5": _llava,
    "qwen2-vl": lambda vocabulary, ids: _qwen(vocabulary, ids, newer=False),
    "qwen2.5-vl": lambda vocabulary, ids: _qwen(vocabulary, ids, newer=True),
    "smolvlm": _smolvlm,
}
