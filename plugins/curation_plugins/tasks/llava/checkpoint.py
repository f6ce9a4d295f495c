"""Loading models and processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from transformers import AutoProcessor, LlavaForConditionalGeneration

from curation_plugins.errors import AssetsInvalid


def load(folder: Path) -> tuple[Any, Any]:
    """Model (evaluation mode, fp32) and processor from a local folder; nothing is ever downloaded.

    Raises:
        AssetsInvalid: the folder holds no LLaVA model.
    """
    transformers.utils.logging.disable_progress_bar()
    try:
        model = LlavaForConditionalGeneration.from_pretrained(folder, local_files_only=True, dtype="float32")
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise AssetsInvalid(
            f"{folder}: no LLaVA model and processor can be loaded from here ({error})",
            hint="The assets were changed or damaged; make them again.",
        ) from error
    return model.eval(), processor


def save(folder: Path, model: Any, processor: Any) -> None:
    """Writes both, so that any engine that reads the Hugging Face layout can load them."""
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
