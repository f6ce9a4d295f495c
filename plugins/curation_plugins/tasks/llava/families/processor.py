"""Tokenizer and image preprocessing of a checkpoint folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf")
_MODELS_OWN = ("config.json", "generation_config.json")


@dataclass(frozen=True)
class Processor:
    """What of a checkpoint folder is no weights. The preprocessing is always the one on Pillow images, so that a
    machine with torchvision computes the same pixels as one without."""

    tokenizer: Any
    """A fast tokenizer of transformers."""
    image_processor: Any
    """An image processor of transformers."""
    chat_template: str
    """The family's, with the supervised span marked; Jinja."""
    image_token: str
    """Stands once for an image in a prompt's text."""
    source: Path
    """The folder it was read from."""

    def save_pretrained(self, folder: Path) -> None:
        """Copies the source's files that are neither weights nor configuration of a model, with our chat template in
        place of theirs: an engine that reads the folder asks the model as it was trained."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.source.iterdir()):
            if path.is_file() and not path.name.endswith(_WEIGHTS) and path.name not in _MODELS_OWN:
                shutil.copyfile(path, folder / path.name)
        (folder / "chat_template.json").unlink(missing_ok=True)
        (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")
        for name in ("tokenizer_config.json", "processor_config.json"):
            path = folder / name
            if path.exists():
                _without_template(path)


def _without_template(path: Path) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.pop("chat_template", None) is not None:
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")
