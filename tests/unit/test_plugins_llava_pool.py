"""The pool of `llava-tiny`: reproducible, truthful, and silent about its truth."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from curation_plugins.tasks.llava.images import average_hash, open_rgb
from curation_plugins.tasks.llava.items import read_items
from curation_plugins.tasks.llava.tiny.benchmarks import make_benchmarks
from curation_plugins.tasks.llava.tiny.pool import KINDS, SOURCES, make_pool
from curation_plugins.tasks.llava.tiny.questions import BENCHMARKS, ask
from curation_plugins.tasks.llava.tiny.scenes import (
    POSITIONS,
    Scene,
    Thing,
    digit_shares,
    random_things,
)

ROWS = 2000


class _Made:
    """A pool and benchmarks, read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_pool(folder / "pool", folder / "truth.jsonl", ROWS, seed=5)
        make_benchmarks(folder / "benchmarks", 30, seed=5)
        self.rows: list[dict[str, Any]] = _lines(folder / "pool" / "rows.jsonl")
        self.truth: list[dict[str, Any]] = _lines(folder / "truth.jsonl")

    def kinds(self, *kinds: str) -> list[int]:
        return [n for n, fact in enumerate(self.truth) if fact["kind"] in kinds]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> _Made:
    return _Made(tmp_path_factory.mktemp("tiny"))


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_same_seed_same_bytes_other_seed_other_pool(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_pool(tmp_path / name / "pool", tmp_path / name / "truth.jsonl", 200, seed)
        make_benchmarks(tmp_path / name / "benchmarks", 20, seed)
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    assert _digests(tmp_path / "a") != _digests(tmp_path / "c")


def test_rows_and_truth_match(made: _Made) -> None:
    assert len(made.rows) == len(made.truth) == ROWS
    assert [fact["row"] for fact in made.truth] == list(range(ROWS))
    for row, fact in zip(made.rows, made.truth, strict=True):
        assert (row["image"] is None) == (fact["kind"] == "text")
        assert fact["clean"] == (fact["kind"] == "clean")
        mark = row["conversations"][0]["value"].startswith("<image>\n")
        assert mark == (row["image"] is not None)
    assert {fact["kind"] for fact in made.truth} == set(KINDS)


def test_nothing_of_the_truth_is_in_the_pool_folder(made: _Made) -> None:
    names = {path.name for path in (made.folder / "pool").rglob("*") if path.is_file()}
    assert names == {"rows.jsonl"} | {Path(row["image"]).name for row in made.rows if row["image"]}
    assert set(made.rows[0]) == {"id", "source", "image", "conversations"}
    assert [row["id"] for row in made.rows] == [f"{n:06d}" for n in range(ROWS)]


@pytest.mark.parametrize(
    "clue",
    [
        lambda path: path.stat().st_size,
        lambda path: path.stat().st_mtime,
        lambda path: path.stat().st_mode,
        lambda path: int(path.stem),
        lambda path: path.read_bytes().find(b"IDAT"),
        lambda path: len(Image.open(path).info),
    ],
    ids=["size", "time", "mode", "order", "header", "metadata"],
)
def test_an_images_file_says_nothing_about_its_row(made: _Made, clue: Callable[[Path], float]) -> None:
    """Good rows against wrong answers and exchanged images, whose files differ by content alone."""
    for benchmark in BENCHMARKS:  # kinds of picture differ in size
        rows = [n for n in made.kinds("clean", "wrong", "mismatched")]
        rows = [n for n in rows if made.truth[n]["benchmark"] == benchmark]
        values = [clue(made.folder / "pool" / made.rows[n]["image"]) for n in rows]
        clean = [made.truth[n]["clean"] for n in rows]
        auc = roc_auc_score(clean, values)
        assert abs(auc - 0.5) < 4 * np.sqrt(1 / (3 * len(rows))), (benchmark, auc)


def test_a_near_copy_differs_in_pixels_but_hardly_in_its_hash(made: _Made) -> None:
    by_text: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for n in made.kinds("duplicate"):
        row = made.rows[n]
        turns = row["conversations"]
        by_text[row["source"], turns[0]["value"], turns[1]["value"]].append(n)
    near = total = 0
    for members in by_text.values():
        images = [open_rgb(made.folder / "pool" / made.rows[n]["image"]) for n in members]
        assert len({image.tobytes() for image in images}) == len(images)
        hashes = [average_hash(image) for image in images]
        for place, one in enumerate(hashes):
            others = hashes[:place] + hashes[place + 1 :]
            total += 1
            near += any((one ^ other).bit_count() <= 2 for other in others)
    assert near > 0.9 * total


def test_each_source_is_a_mixture_and_has_enough_bad_rows(made: _Made) -> None:
    assert len(SOURCES) >= 6
    for source in SOURCES:
        rows = [n for n, row in enumerate(made.rows) if row["source"] == source]
        kinds = Counter(made.truth[n]["kind"] for n in rows)
        assert set(kinds) == set(KINDS)
        assert 0.2 < kinds["clean"] / len(rows) < 0.45


def test_labels_of_benchmarks_are_balanced_between_good_and_wrong(made: _Made) -> None:
    """Wrong answers fit their question, so no answer or length gives them away."""
    for kind in ("clean", "wrong", "mismatched"):
        answers = {
            made.rows[n]["conversations"][1]["value"]
            for n in made.kinds(kind)
            if made.truth[n]["benchmark"] == "counting"
        }
        assert answers == {"1", "2", "3", "4"}


def test_an_answer_depends_on_what_is_shown() -> None:
    scene = Scene(things=(Thing(POSITIONS[0], "red", "circle"), Thing(POSITIONS[3], "blue", "cross")))
    rng = np.random.default_rng(0)
    asked = {(q.kind, q.position): q for q in (ask("lookup", scene, rng) for _ in range(50))}
    assert asked["colour", "top left"].answer(scene) == "red"
    assert asked["shape", "bottom right"].answer(scene) == "cross"
    other = Scene(things=(Thing(POSITIONS[3], "pink", "square"),))
    assert asked["colour", "top left"].answer(other) is None
    assert ask("counting", scene, rng).answer(scene) == "2"
    assert ask("digits", Scene(digit=0, value=4), rng).answer(scene) is None


def test_half_of_the_existence_questions_are_true() -> None:
    rng = np.random.default_rng(1)
    scenes = [random_things(rng) for _ in range(600)]
    yes = sum(ask("existence", scene, rng).answer(scene) == "yes" for scene in scenes)
    assert 240 < yes < 360


def test_no_benchmark_image_is_in_the_pool(made: _Made) -> None:
    def pixels(folder: Path) -> set[bytes]:
        return {open_rgb(path).tobytes() for path in (folder / "images").iterdir()}

    assert not pixels(made.folder / "pool") & pixels(made.folder / "benchmarks")
    shares = digit_shares(5)
    groups = [set(share.tolist()) for share in shares.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 1797


def test_halves_share_no_image_and_no_group(made: _Made) -> None:
    public = read_items(made.folder / "benchmarks", "public")
    sealed = read_items(made.folder / "benchmarks", "sealed")
    for half in (public, sealed):
        assert Counter(item.benchmark for item in half) == dict.fromkeys(BENCHMARKS, 30)
    assert not {item.group for item in public} & {item.group for item in sealed}
    assert not {item.images for item in public} & {item.images for item in sealed}
