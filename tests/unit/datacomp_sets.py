"""Small evaluation sets in the hub's layout, written with webdataset's own writer, and a model that costs nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluation import sets
from curation_plugins.tasks.datacomp.evaluation.sets import EvaluationSet

SIDE = 16
COLOURS = ("red", "green", "blue", "white", "black", "yellow")
TEMPLATES = ("a picture of {c}.", "{c}, on paper")
RECIPE: dict[str, Any] = {"extends": "tiny", "samples": 64, "batch": 8, "init_seed": None}


def set_of(key: str, **changes: Any) -> EvaluationSet:
    """DataComp's set of that key, but of any number of items and classes."""
    known = sets.evaluation_sets()[key]
    return known.model_copy(update={"items": None, "classes": None, **changes})


def without_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All known sets may have any number of items and classes."""
    small = {key: set_of(key) for key in sets.evaluation_sets()}
    monkeypatch.setattr(sets, "evaluation_sets", lambda: small)


def image(seed: int, colour: int = 0, kind: str = "PNG", side: int = SIDE + 4) -> bytes:
    """A noisy square; no two seeds give the same bytes."""
    noise = np.random.default_rng(seed).integers(0, 60, (side, side + 3, 3))
    noise[:, :, colour % 3] += 150
    out = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(out, kind)
    return out.getvalue()


def write_set(
    evaluation: Path,
    entry: EvaluationSet,
    samples: Sequence[Mapping[str, Any]],
    *,
    classes: Sequence[str] = COLOURS,
    templates: Sequence[str] = TEMPLATES,
    shards: int = 2,
) -> Path:
    """Samples as webdataset takes them, ``__key__`` included, spread over tars in order."""
    folder = evaluation / entry.folder
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text(str(shards))
    if entry.kind in ("classification", "attributes"):
        (folder / "classnames.txt").write_text("\n".join(classes))
        (folder / "zeroshot_classification_templates.txt").write_text("\n".join(templates))
    for number, part in enumerate(np.array_split(np.arange(len(samples)), shards)):
        with webdataset.TarWriter(str(folder / "test" / f"{number}.tar")) as writer:
            for place in part:
                writer.write(dict(samples[place]))
    return folder


def samples_of(entry: EvaluationSet, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """``count`` items of the set's kind; of an association set as many instances over one stock of images."""
    rng = np.random.default_rng([seed, *entry.key.encode()])
    base = int(rng.integers(2**40))
    if entry.kind == "association":
        return _associations(count, base, rng)
    found = list[dict[str, Any]]()
    for place in range(count):
        label = place % len(COLOURS)
        sample: dict[str, Any] = {"__key__": f"s{place:07d}", "png": image(base + place, label)}
        if entry.kind == "classification":
            sample["cls"] = str(label)
        if entry.kind == "retrieval":
            sample["txt"] = "\n".join(f"a {COLOURS[label]} square, {way} {place}" for way in ("seen", "again"))
        if entry.columns:
            sample["npy"] = rng.integers(0, 2, len(entry.columns))
        if entry.cluster is not None:
            sample["npy"][entry.columns.index(entry.cluster)] = place
        found.append(sample)
    return found


def _associations(count: int, base: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    stock = [{"__key__": f"picture-{place}", "png": image(base + place, place)} for place in range(14)]
    asked = list[dict[str, Any]]()
    for place in range(count):
        candidates = [f"picture-{n}" for n in rng.permutation(14)[: (5, 6, 10, 12)[place % 4]]]
        told = {"cue": COLOURS[place % 6], "candidates": candidates, "associations": candidates[: 2 + place % 2]}
        asked.append({"__key__": f"instance-{place}", "json": json.dumps(told).encode()})
    return [*stock, *asked]


def face_lines() -> dict[str, Any]:
    """Class names and templates of a set of faces."""
    counts = {"race": 7, "gender": 2, "age": 9, "toxic": 20}
    names = [f"{question}:{question} {number}" for question, count in counts.items() for number in range(count)]
    return {"classes": names, "templates": [f"{question}:a photo of {{c}}" for question in counts]}


def write_model(assets: Path) -> None:
    """The configuration of a CLIP of a few weights, with open_clip's own tokenizer."""
    folder = layout.model(assets)
    folder.mkdir(parents=True)
    told = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
            "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
        },
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.5]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(told))
