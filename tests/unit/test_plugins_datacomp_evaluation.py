"""DataComp's evaluation: images and classifiers are open_clip's, and are made once."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import datacomp_sets as made
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluate import Evaluator
from curation_plugins.tasks.datacomp.evaluation import files, score
from curation_plugins.tasks.datacomp.evaluation.pixels import PixelStore, Preprocess
from curation_plugins.tasks.datacomp.evaluation.texts import Texts, cue_prompt
from datacomp_scoring import (
    CIFAR,
    FLICKR,
    PETS,
    WINO,
    add,
    entry_and_folder,
    one_of_each,
    run,
    scorer,
    settings_of,
    trained,
    untrained,
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    made.without_counts(monkeypatch)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_of_each(tmp_path_factory.mktemp("assets"))


# --- images ---


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "grey", "palette", "alpha"])
def test_pixels_are_exactly_open_clips(assets: Path, kind: str) -> None:
    opened = untrained(assets)
    picture = Image.open(io.BytesIO(made.image(7, side=40)))
    mode = {"grey": "L", "palette": "P", "alpha": "RGBA"}.get(kind, "RGB")
    out = io.BytesIO()
    picture.convert(mode).save(out, {"jpg": "JPEG", "webp": "WEBP"}.get(kind, "PNG"))
    ours = Preprocess(opened.preprocess)
    pixels = ours.pixels(out.getvalue())
    assert pixels is not None
    theirs = opened.preprocess(Image.open(out).convert("RGB"))
    assert torch.equal(ours.floats(pixels[None], torch.device("cpu"))[0], theirs)


def test_other_transforms_than_open_clips_are_not_taken_for_them() -> None:
    from torchvision.transforms import Compose, ToTensor

    with pytest.raises(ValueError, match="validation transforms"):
        Preprocess(Compose([ToTensor()]))


def test_images_are_decoded_once_for_all_models(tmp_path: Path, assets: Path, monkeypatch: Any) -> None:
    decoded, decode = list[bytes](), Preprocess.pixels

    def counting(self: Preprocess, data: bytes) -> Any:
        decoded.append(data)
        return decode(self, data)

    monkeypatch.setattr(Preprocess, "pixels", counting)
    kept = settings_of(CIFAR, FLICKR, decoded=str(tmp_path / "kept"))
    run(Evaluator(), assets, tmp_path / "1", "public", kept)
    assert len(decoded) == 72
    other = trained(assets, tmp_path / "model", 1)
    again = Evaluator()
    run(again, assets, tmp_path / "2", "public", kept, other)
    run(again, assets, tmp_path / "2", "sealed", kept, other)
    assert len(decoded) == 72
    run(Evaluator(), assets, tmp_path / "3", "public", {**kept, "decoded_bytes": 0})
    assert len(decoded) == 72, "what is there is used, however little room there is now"
    run(Evaluator(), assets, tmp_path / "4", "public", settings_of(CIFAR, FLICKR, decoded_bytes=0))
    assert len(decoded) == 144
    assert (tmp_path / "4" / "items-public.jsonl").read_bytes() == (
        tmp_path / "1" / "items-public.jsonl"
    ).read_bytes()


def test_a_set_that_changed_is_decoded_again(tmp_path: Path, assets: Path) -> None:
    entry, folder = entry_and_folder(tmp_path)
    one = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    (folder / "test" / "1.tar").unlink()
    add(folder, {"a.png": made.image(99), "a.cls": b"0"})
    two = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    assert (len(one.items), len(two.items)) == (12, 7)


@pytest.mark.parametrize("spoil", ["cut", "empty", "other shape", "objects"])
def test_a_damaged_copy_of_decoded_images_is_not_used(tmp_path: Path, assets: Path, spoil: str) -> None:
    entry, _ = entry_and_folder(tmp_path)
    one = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    [kept] = (tmp_path / "decoded").glob("*.pixels.npy")
    whole = kept.read_bytes()
    match spoil:
        case "cut":
            kept.write_bytes(whole[: len(whole) // 2])
        case "empty":
            kept.write_bytes(b"")
        case "other shape":
            np.save(kept, np.zeros((3, 3, 16, 16), np.uint8))
        case "objects":
            np.save(kept, np.array([{}] * 12, dtype=object), allow_pickle=True)
    assert scorer(assets, tmp_path).score(files.open_set(tmp_path, entry)) == one
    assert kept.read_bytes() == whole


def test_a_full_disk_costs_the_copy_and_not_the_score(
    tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = entry_and_folder(tmp_path)
    expected = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))

    class Full(io.BytesIO):
        def flush(self) -> None:
            if self.tell() > 1000:
                raise OSError(28, "No space left on device")

    opened = Path.open
    full = lambda self, *a, **k: Full() if "pixels" in self.name and self.suffix == ".part" else opened(self, *a, **k)  # noqa: E731
    monkeypatch.setattr(Path, "open", full)
    store = PixelStore(tmp_path / "other", 2**30)
    found = score.Scorer(untrained(assets), Preprocess(untrained(assets).preprocess), store, 5)
    assert found.score(files.open_set(tmp_path, entry)) == expected
    assert not list((tmp_path / "other").glob("*.pixels*"))


@pytest.mark.parametrize("bad", [b"", b"\x89PNG\r\n\x1a\n", b"not an image", made.image(3)[:200]])
def test_a_broken_image_is_counted_and_left_out(tmp_path: Path, assets: Path, bad: bytes) -> None:
    samples = made.samples_of(made.set_of(PETS), 120)
    samples[119]["png"] = bad
    made.write_set(tmp_path, made.set_of(PETS), samples)
    for _ in range(2):  # the second time from what was kept
        found = scorer(assets, tmp_path, batch=17).score(files.open_set(tmp_path, made.set_of(PETS)))
        assert (found.broken, len(found.items)) == (1, 119)


def test_a_broken_image_of_a_retrieval_set_is_no_candidate_and_its_captions_neither(
    tmp_path: Path, assets: Path
) -> None:
    entry = made.set_of(FLICKR)
    samples = made.samples_of(entry, 110)
    made.write_set(tmp_path / "without", entry, [*samples[:50], *samples[51:]], shards=1)
    samples[50]["png"] = b"gone"
    made.write_set(tmp_path / "broken", entry, samples, shards=1)
    without, broken = (
        scorer(assets, tmp_path).score(files.open_set(tmp_path / name, entry)) for name in ("without", "broken")
    )
    assert broken.items == without.items
    assert broken.reported == without.reported
    assert (without.broken, broken.broken) == (0, 1)


def test_an_instance_with_a_broken_image_is_left_out(tmp_path: Path, assets: Path) -> None:
    entry = made.set_of(WINO)
    spare = [{"__key__": f"spare-{n}", "png": made.image(n)} for n in range(100)]
    broken = {"__key__": "broken", "png": b"gone"}
    asked = made.samples_of(entry, 8)
    told = {"cue": "x", "candidates": ["broken", *(f"spare-{n}" for n in range(9))], "associations": ["spare-1"]}
    made.write_set(tmp_path, entry, [*asked, *spare, broken, {"__key__": "i", "json": json.dumps(told).encode()}])
    found = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    assert (found.broken, len(found.items)) == (1, 4)


def test_more_than_one_broken_image_in_a_hundred_are_no_score(tmp_path: Path, assets: Path) -> None:
    samples = made.samples_of(made.set_of(PETS), 120)
    for place in (5, 80):
        samples[place]["png"] = b"gone"
    made.write_set(tmp_path, made.set_of(PETS), samples)
    with pytest.raises(AssetsInvalid, match=r"0\.tar, sample 's0000005' .* nor can 1 more of the 120"):
        scorer(assets, tmp_path).score(files.open_set(tmp_path, made.set_of(PETS)))
    assert not list((tmp_path / "decoded").glob("*.pixels*")), "nothing half-made is kept"


def test_an_image_that_claims_to_be_enormous_is_not_unpacked(assets: Path) -> None:
    opened = untrained(assets)
    out = io.BytesIO()
    Image.new("1", (13_400, 13_400)).save(out, "PNG")
    assert Preprocess(opened.preprocess).pixels(out.getvalue()) is None


# --- classifiers ---


def test_classifiers_are_open_clips(assets: Path, tmp_path: Path) -> None:
    opened = untrained(assets)
    texts = Texts(opened, tmp_path, batch=5)
    ours = texts.classifier(made.COLOURS, made.TEMPLATES)
    theirs = open_clip.build_zero_shot_classifier(
        opened.model,
        opened.tokenizer,
        made.COLOURS,
        [lambda name, t=template: t.replace("{c}", name) for template in made.TEMPLATES],
    )
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert texts.classifier(made.COLOURS, made.TEMPLATES) is ours


def test_tokens_are_kept_by_tokenizer_and_texts(assets: Path, tmp_path: Path) -> None:
    opened = untrained(assets)
    asked = list[int]()

    class Counting:
        model, device, text_key = opened.model, opened.device, opened.text_key

        @staticmethod
        def tokenizer(given: Sequence[str], /) -> torch.Tensor:
            asked.append(len(given))
            return opened.tokenizer(given)

    first = Texts(Counting(), tmp_path, 8).tokens(["a", "b c"])
    assert torch.equal(first, opened.tokenizer(["a", "b c"]))
    assert torch.equal(Texts(Counting(), tmp_path, 8).tokens(["a", "b c"]), first)
    assert asked == [2]
    Texts(Counting(), tmp_path, 8).tokens(["a b", "c"])
    Counting.text_key = "another"
    Texts(Counting(), tmp_path, 8).tokens(["a", "b c"])
    assert asked == [2, 2, 2]


def test_a_template_is_text_and_no_program(assets: Path, tmp_path: Path) -> None:
    entry, folder = entry_and_folder(tmp_path)
    (folder / "zeroshot_classification_templates.txt").write_text("{c} {c.__class__} {0}\n{c}\n")
    found = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    assert len(found.items) == 12


@pytest.mark.parametrize(("cue", "told"), [("Apple", "An apple"), ("moon", "A moon"), ("USB", "An usb")])
def test_a_cue_gets_its_article(cue: str, told: str) -> None:
    assert cue_prompt(cue) == told


def test_scores_are_those_of_a_plain_loop(assets: Path, tmp_path: Path) -> None:
    """Image by image, prompt by prompt, with open_clip's own calls."""
    opened = untrained(assets)
    entry = made.set_of(PETS)
    with torch.no_grad():
        weights = []
        for name in made.COLOURS:
            each = opened.model.encode_text(opened.tokenizer([t.format(c=name) for t in made.TEMPLATES]), True)
            weights.append(each.mean(dim=0) / each.mean(dim=0).norm())
        classifier = torch.stack(weights)
        expected = {}
        for sample in made.samples_of(entry, 36):
            shown = opened.preprocess(Image.open(io.BytesIO(sample["png"])).convert("RGB"))
            likeliest = int((opened.model.encode_image(shown[None], True) @ classifier.T).argmax())
            expected[sample["__key__"]] = float(likeliest == int(sample["cls"]))
    found = scorer(assets, tmp_path, batch=7).score(files.open_set(layout.evaluation(assets), entry))
    assert {item.item.split("/")[1]: item.score for item in found.items} == expected
    assert 0 < sum(expected.values()) < 36
