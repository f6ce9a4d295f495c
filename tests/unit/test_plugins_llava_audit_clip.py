"""The command that compares pictures by CLIP, on a small model of the true class."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit import embeddings
from curation_plugins.tasks.llava.audit.findings import Finding
from curation_plugins.tasks.llava.clip import Clip
from curation_plugins.tasks.llava.items import write_items
from made_leaks import World


def tiny_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "[EOS]": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", eos_token="[EOS]"
    ).save_pretrained(folder)
    part = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = part | {"vocab_size": 3, "max_position_embeddings": 24, "eos_token_id": 2}
    vision = part | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_a_copied_picture_is_the_nearest_by_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "assets")
    world.add_items(6)
    world.add_honest(5)
    write_items(world.benchmarks, "public", world.items[:3])
    write_items(world.benchmarks, "sealed", world.items[3:])
    copied = world.items[4].images[0]
    shutil.copy(world.benchmarks / copied, world.pool / str(world.rows[2].image))
    lines = "".join(row.model_dump_json(by_alias=True) + "\n" for row in world.rows)
    layout.rows_file(world.folder).write_text(lines, encoding="utf-8")
    model = tiny_clip(tmp_path / "clip")
    signals = layout.pool(world.folder) / "signals"
    signals.mkdir()
    np.save(signals / "clip_embeddings.npy", np.array(Clip(model).vectors(world.rows, world.pool), dtype=np.float16))

    embeddings.main([str(world.folder), str(model), str(tmp_path / "out.jsonl")])
    found = [Finding.model_validate_json(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    (copy,) = (finding for finding in found if finding.row == 2)
    assert (copy.item_says, copy.score) == (copied, pytest.approx(1, abs=1e-3))
    assert f"{len(found)} row(s)" in capsys.readouterr().out

    (signals / "clip_embeddings.npy").unlink()
    with pytest.raises(SystemExit, match="harness signals"):
        embeddings.main([str(world.folder), str(model), str(tmp_path / "out.jsonl")])
