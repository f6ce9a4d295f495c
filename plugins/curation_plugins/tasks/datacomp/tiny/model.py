"""The model that `datacomp-tiny` trains, as a configuration of open_clip, and its tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from curation_plugins.tasks.datacomp.tiny.captions import vocabulary
from curation_plugins.tasks.datacomp.tiny.drawing import CANVAS

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unknown>"
"""The special tokens, with ids from 0 in this order."""

WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")
"""What counts as one token: letters that belong together, one digit, one other sign."""

CONTEXT = 16
"""Tokens of a text; longer captions are cut."""


def words() -> list[str]:
    """The vocabulary, special tokens first."""
    found = {word for text in vocabulary() for word in WORD.findall(f"{text.upper().lower()} {text.lower()}")}
    return [PAD, START, END, UNKNOWN, *sorted(found | set("|-().,:_"))]


def configuration(width: int = 96, layers: int = 2, patch: int = 16) -> dict[str, Any]:
    """open_clip's model configuration: two small transformers."""
    return {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": CANVAS,
            "layers": layers,
            "width": width,
            "head_width": 32,
            "patch_size": patch,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "hf_tokenizer_name": "own",
            "vocab_size": len(words()),
            "width": 64,
            "heads": 2,
            "layers": 1,
            "pad_id": 0,
            "eos_id": 2,
            "pool_type": "eos",
        },
    }


def write_model(folder: Path) -> None:
    """Writes `open_clip_config.json` and the tokenizer's files."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordLevel

    folder.mkdir(parents=True)
    mean = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    text = json.dumps({"model_cfg": configuration(), "preprocess_cfg": mean}, indent=1) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    table = {word: number for number, word in enumerate(words())}
    tokenizer = Tokenizer(WordLevel(table, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\W\d_]+|\d|[^\w\s]|_"), "removed", invert=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, table[START]), (END, table[END])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": PAD,
                "bos_token": START,
                "eos_token": END,
                "unk_token": UNKNOWN,
                "model_max_length": CONTEXT,
                "clean_up_tokenization_spaces": False,
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
