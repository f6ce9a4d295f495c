"""Builds and trains the base model of `llava-tiny` from nothing, in a minute or two on two cores.

First the vision tower learns, under direct supervision, what stands where; then projector and language model
learn to speak about it, with the tower frozen, through the same loop that trains submissions. (Trained end to
end on captions, models of this size learn nothing in reasonable time.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.encode import Encoder
from curation_plugins.tasks.llava.families.llava15 import Llava15
from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.rows import IMAGE_MARK, Row
from curation_plugins.tasks.llava.template import LLAVA_TEMPLATE
from curation_plugins.tasks.llava.tiny.questions import BENCHMARKS, ask, raise_base
from curation_plugins.tasks.llava.tiny.scenes import CANVAS, digit_shares, draw, random_scene
from curation_plugins.tasks.llava.tiny.settings import BaseModelSettings
from curation_plugins.tasks.llava.tiny.smalltalk import homework, small_talk
from curation_plugins.tasks.llava.tiny.tower import to_pixels, train_tower
from curation_plugins.tasks.llava.vision import CHUNK, FeatureStore

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def build_base(settings: BaseModelSettings, seed: int, folder: Path, progress: Callable[[str, float], None]) -> None:
    """Makes model and processor and saves them to `folder` in the Hugging Face layout.

    Args:
        seed: of the task; decides which real digits the base model may see.
    """
    set_determinism(settings.recipe.threads, settings.seed)
    processor = _processor(settings)
    model = _model(settings, processor.tokenizer)
    digits = digit_shares(seed)["base"]
    rng = np.random.default_rng([settings.seed, 11])
    train_tower(model, processor, settings, digits, rng, progress)
    _train_language(model, processor, settings, digits, rng, progress)
    checkpoint.save(folder, model, processor)


def _processor(settings: BaseModelSettings) -> Any:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\w+:?|[^\w\s]|\s+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=["<pad>", "<unk>", "</s>", IMAGE_MARK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_tokenizer_texts(settings.seed), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        extra_special_tokens={"image_token": IMAGE_MARK},
        padding_side="left",
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": CANVAS},
        crop_size={"height": CANVAS, "width": CANVAS},
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_STD),
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=settings.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )


def _tokenizer_texts(seed: int) -> list[str]:
    """Words, not knowledge: every wording anybody uses, so that no side's text falls apart into letters."""
    rng = np.random.default_rng([seed, 12])
    digits = np.arange(10)
    texts = []
    for _ in range(4000):
        scene = random_scene(rng, digits)
        question, answer = raise_base(scene, rng)
        texts.append(f"USER: \n{question} ASSISTANT: {answer}")
        for benchmark in BENCHMARKS:
            if scene.suits(benchmark):
                query = ask(benchmark, scene, rng)
                texts.append(f"USER: \n{query.question(rng)} ASSISTANT: {query.answer(scene)}")
        question, answer = small_talk(rng)
        texts.append(f"USER: {question} ASSISTANT: {answer}")
    return texts


def _model(settings: BaseModelSettings, tokenizer: Any) -> Any:
    vision = CLIPVisionConfig(
        hidden_size=settings.vision_width,
        intermediate_size=2 * settings.vision_width,
        num_hidden_layers=settings.vision_layers,
        num_attention_heads=4,
        image_size=CANVAS,
        patch_size=settings.patch,
        projection_dim=settings.vision_width,
    )
    # Heads of 64 are the smallest that every inference engine takes.
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=2 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_MARK),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(CANVAS // settings.patch) ** 2,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.bos_token_id = None
    return model


def _train_language(
    model: Any,
    processor: Any,
    settings: BaseModelSettings,
    digits: NDArray[np.int64],
    rng: np.random.Generator,
    progress: Callable[[str, float], None],
) -> None:
    rows: list[Row] = []
    parts: list[torch.Tensor] = []
    for start in range(0, settings.images, CHUNK):
        scenes = [random_scene(rng, digits) for _ in range(min(CHUNK, settings.images - start))]
        pixels = to_pixels(processor, [draw(scene, rng) for scene in scenes])
        with torch.no_grad():
            parts.append(Llava15().features(model, pixels))
        for place, scene in enumerate(scenes, start=start):
            rows.extend(_base_row(str(place), *raise_base(scene, rng)) for _ in range(3))
    for _ in range(settings.images // 10):
        rows.append(_base_row(None, *homework(rng)))
    features = torch.cat(parts)
    encoder = Encoder(processor, model.config, settings.recipe.max_tokens)
    store = FeatureStore(features, [str(place) for place in range(len(features))])
    sizes = [None if row.image is None else (CANVAS, CANVAS) for row in rows]

    def report(step: int, steps: int, loss: float) -> None:
        progress(f"language model, loss {loss:.3f}", 0.2 + 0.8 * step / steps)

    fit(
        model,
        encoder.rows(rows, sizes),
        [1.0] * len(rows),
        store,
        settings.recipe,
        settings.seed,
        processor.tokenizer.pad_token_id,
        report,
    )


def _base_row(image: str | None, question: str, answer: str) -> Row:
    mark = f"{IMAGE_MARK}\n" if image is not None else ""
    return Row.model_validate(
        {
            "id": "",
            "image": image,
            "conversations": [
                {"from": "human", "value": mark + question},
                {"from": "gpt", "value": answer},
            ],
        }
    )
