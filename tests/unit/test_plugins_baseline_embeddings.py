"""The selection methods over embeddings, targets and lists, on made pools in which the right answer is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from curation_plugins.agents.baseline import BaselineOptions
from curation_plugins.agents.programs.baseline import choose
from curation_plugins.agents.programs.baseline.plan import EVERY, FIRST_CHOICE, FIRST_OF_PAIRS, METHODS
from curation_plugins.agents.programs.baseline.selection import (
    clusters,
    coincide,
    d2,
    dsir,
    el2n_top,
    length_top,
    semdedup,
    similarity_band,
    template_rewrite,
    typiclust,
)
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import run
from made_pool import chosen, make_pool, plain_rows

ROWS = 120


def blobs(groups: int, each: int, spread: float = 0.02, width: int = 16) -> list[list[float]]:
    """Points around as many random directions."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(groups, width))
    points = np.repeat(centres, each, axis=0) + spread * rng.normal(size=(groups * each, width))
    return [[float(value) for value in point] for point in points]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A pool that meets every need but the target's and the lists'."""
    rng = np.random.default_rng(5)
    rows = [{"source": f"s{place % 3}", "text": f"it is thing {place // 2}"} for place in range(ROWS)]
    columns: dict[str, list[Any]] = {
        "similarity": list(rng.normal(size=ROWS)),
        "answer_loss": list(rng.random(ROWS)),
        "el2n": list(rng.random(ROWS)),
        "embedding": blobs(6, ROWS // 6),
    }
    make_pool(tmp_path / "pool", rows, columns)
    (tmp_path / "pool" / "excluded.json").write_text("[0, 7, 119]\n")
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "target.txt").write_text("what is thing 12\nit is thing 13\n")
    np.savez(extra / "lists.npz", icons=np.arange(ROWS) % 2, ards=np.arange(ROWS) % 3)
    return tmp_path


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_keeps_to_its_budget_and_to_the_rows_that_may_be_chosen(method: Any, whole: Path) -> None:
    for parameters in method.settings:
        pool = Pool(whole / "pool", whole / "extra")
        rows = run(method, pool, 20, 4, parameters).tolist()
        assert len(set(rows)) == len(rows) <= 20
        assert rows
        assert set(rows).isdisjoint({0, 7, 119})
        assert rows == run(method, Pool(whole / "pool", whole / "extra"), 20, 4, parameters).tolist()
        assert len(run(method, pool, 500, 4, parameters)) <= ROWS - 3


def test_every_method_says_what_it_is_and_can_be_named() -> None:
    assert sorted(method.name for method in METHODS) == sorted(FIRST_CHOICE)
    names = [method.name for method in EVERY]
    assert sorted(names) == sorted(FIRST_OF_PAIRS)
    literal = get_args(BaselineOptions.model_fields["method"].annotation)[0]
    assert sorted(get_args(literal)) == sorted(names)
    looking = {"dsir", "icons", "ards", "text-based", "image-based", "image-and-clip"}
    assert {method.name for method in EVERY if method.target} == looking
    assert all(method.citation and method.summary for method in EVERY)


def test_length_top_counts_the_answers_not_the_questions(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "abc"}, {"text": "ab", "question": "a very long question indeed"}]
    assert chosen(length_top.METHOD, make_pool(tmp_path, rows), 2) == [1, 2]


def test_similarity_band_leaves_out_the_very_top(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(100), {"similarity": [float(place) for place in range(100)]})
    assert chosen(similarity_band.METHOD, pool, 100, low=0.5, high=0.95) == list(range(50, 95))


def test_el2n_top_leaves_out_rows_whose_loss_is_that_of_noise(tmp_path: Path) -> None:
    columns = {"el2n": [0.1, 0.2, 0.9, 1.2], "loss": [1.0, 1.0, 1.0, 9.0]}
    pool = make_pool(tmp_path, plain_rows(4), columns)
    assert chosen(el2n_top.METHOD, pool, 2) == [1, 2]
    assert chosen(el2n_top.METHOD, pool, 2, cut=1.0) == [2, 3]


def test_products_of_directions_do_not_depend_on_the_order_of_adding(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(90), {"embedding": blobs(9, 10, spread=0.3, width=96)})
    points = clusters.directions(pool, pool.ids)
    _, centroids = clusters.spherical_k_means(points, 7, np.random.default_rng(0))
    shuffled = np.random.default_rng(1).permutation(points.shape[1])
    for others in (points, centroids):
        product = points @ others.T
        assert np.array_equal(product, points.astype(np.float64) @ others.T.astype(np.float64))
        assert np.array_equal(product, points[:, shuffled] @ others[:, shuffled].T)
        assert np.array_equal(product[:1], points[:1] @ others.T), "one row at a time, another routine"
    _, cosine = clusters.neighbours(points, 3)
    assert cosine[0].tolist() == sorted((points[1:] @ points[0]).tolist(), reverse=True)[:3]


def test_k_means_finds_well_apart_groups(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, plain_rows(60), {"embedding": blobs(4, 15)})
    points = clusters.directions(pool, pool.ids)
    found = min(
        (clusters.spherical_k_means(points, 4, np.random.default_rng(seed))[0] for seed in range(8)),
        key=lambda cluster: sum(len(set(cluster[start : start + 15])) for start in range(0, 60, 15)),
    )
    assert [len(set(found[start : start + 15])) for start in range(0, 60, 15)] == [1, 1, 1, 1]


def test_neighbours_are_those_of_the_full_matrix() -> None:
    points = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    full = points @ points.T
    np.fill_diagonal(full, -2)
    places, cosines = clusters.neighbours(points, 5)
    assert np.allclose(np.sort(cosines, axis=1), np.sort(full, axis=1)[:, -5:], atol=1e-5)
    assert np.allclose(np.take_along_axis(full, places, axis=1), cosines, atol=1e-5)
    assert clusters.neighbours(points[:1], 5)[0].shape == (1, 0)


def test_semdedup_leaves_one_of_two_copies(tmp_path: Path) -> None:
    once = blobs(20, 1)
    pool = make_pool(tmp_path, plain_rows(40), {"embedding": [vector for vector in once for _ in range(2)]})
    kept = chosen(semdedup.METHOD, pool, 40, keep=0.5)
    assert len({row // 2 for row in kept}) == len(kept) == 20


def test_d2_passes_messages_as_the_paper_says() -> None:
    difficulty = np.array([1.0, 2.0, 0.5])
    near, weight = np.array([[1], [0], [1]]), np.array([[0.5], [0.5], [0.25]])
    # forward: 1 + .5*2 = 2, 2 + .5*1 = 2.5, .5 + .25*2 = 1; 1 is taken, and 0 falls to 2 - .5*2.5 = .75
    assert d2.pruned(difficulty, near, weight, 3).tolist() == [1, 2, 0]


def test_typiclust_takes_the_middle_of_each_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    centres = np.eye(3, 12) * 3
    points = [centre + 0.4 * rng.normal(size=12) * (place > 0) for centre in centres for place in range(10)]
    points = [np.asarray(point) for point in points]
    typical = typiclust.typicality(
        np.stack([point / np.linalg.norm(point) for point in points[:10]]).astype(np.float32)
    )
    assert int(np.argmax(typical)) == 0
    pool = make_pool(tmp_path, plain_rows(30), {"embedding": [[float(v) for v in point] for point in points]})
    assert len(chosen(typiclust.METHOD, pool, 3)) == 3


def test_coincide_s_quotas_are_the_budget_and_fall_with_the_density() -> None:
    taken = coincide.quotas(np.log([4.0, 2.0, 1.0]), np.array([3, 50, 50]), 30)
    assert sum(taken) == 30
    assert taken[0] == 3  # its share would be 17: the rest goes to those after it
    assert taken[1] > taken[2] > 0
    assert coincide.quotas(np.zeros(2), np.array([2, 2]), 30) == [2, 2]


def test_coincide_s_representatives_keep_the_mmd_small() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(40, 6)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kernel = coincide.gaussian(points)

    def mmd(rows: np.ndarray[Any, Any]) -> float:
        return float(kernel.mean() - 2 * kernel[rows].mean() + kernel[np.ix_(rows, rows)].mean())

    drawn = [mmd(rng.choice(40, size=6, replace=False)) for _ in range(50)]
    assert mmd(coincide.representatives(kernel, 6)) < min(drawn)


def test_dsir_prefers_rows_that_speak_like_the_target(tmp_path: Path) -> None:
    rows = [{"text": "count the apples" if place % 4 == 0 else "paint a boat"} for place in range(80)]
    make_pool(tmp_path / "pool", rows)
    (tmp_path / "target.txt").write_text("count the pears\ncount the apples\n")
    taken = chosen(dsir.METHOD, Pool(tmp_path / "pool", tmp_path), 20)
    assert sum(row % 4 == 0 for row in taken) >= 19


def test_a_rewritten_question_is_formatted_and_its_image_stays_in_front() -> None:
    record = {
        "id": "1",
        "image": "images/1.png",
        "conversations": [
            {"from": "human", "value": "What is\n<image>"},
            {"from": "gpt", "value": "A cat."},
            {"from": "human", "value": "Where? {question}"},
            {"from": "gpt", "value": "There."},
        ],
    }
    changed = 0
    for seed in range(50):
        made = template_rewrite.rewrite(record, np.random.default_rng(seed))
        first, _, second, _ = made["conversations"]
        assert first["value"].startswith("<image>\n")
        assert first["value"].count("<image>") == 1
        assert "What is" in first["value"]
        assert "{question}" not in first["value"]
        assert second["value"].count("Where? {question}") == 1
        assert "<image>" not in second["value"]
        assert [turn["value"] for turn in made["conversations"][1::2]] == ["A cat.", "There."]
        changed += first["value"] != "<image>\nWhat is"
    assert changed > 25


def test_a_selection_of_one_s_own_is_made_again_from_its_manifest(whole: Path, capsys: Any) -> None:
    out = whole / "out"
    given = ["--pool", str(whole / "pool"), "--extra", str(whole / "extra"), "--count", "9"]
    assert choose.main(["icons", *given, "--out", str(out)]) == 0
    assert "9 of 120 rows by icons (looks at target data)" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["uses"] == ["icons"]
    assert manifest["looks_at_target_data"] is True
    command = [
        sys.executable,
        str(out / "policy.py"),
        "--pool",
        str(whole / "pool"),
        "--out",
        str(whole / "again.txt"),
    ]
    like = ["--like", str(out / "manifest.json")]
    subprocess.run([*command, *like], check=True)
    assert (whole / "again.txt").read_text() == (out / "rows.txt").read_text()
    other = subprocess.run([*command, *like, "--seed", "9"], capture_output=True, text=True)
    assert other.returncode == 1
    assert "seed differs; sha256 differs" in other.stderr
    rows = whole / "pool" / "rows.jsonl"
    rows.write_text(rows.read_text().replace("thing 3", "thing 4"))
    changed = subprocess.run([*command, *like], capture_output=True, text=True)
    assert changed.returncode == 1
    assert "pool differs" in changed.stderr


def test_what_a_method_lacks_is_named_and_nothing_is_written(whole: Path, capsys: Any) -> None:
    assert choose.main(["dsir", "--pool", str(whole / "pool"), "--count", "9", "--out", str(whole / "out")]) == 1
    assert "the pool has no target" in capsys.readouterr().err
    assert not (whole / "out").exists()
    absent = whole / "nonexist"
    assert choose.main(["random", "--pool", str(absent), "--count", "9", "--out", str(whole / "out")]) == 1
    assert f"there is no rows.jsonl and no metadata in {absent}" in capsys.readouterr().err
    absent.mkdir()
    (absent / "rows.jsonl").touch()
    assert choose.main(["random", "--pool", str(absent), "--count", "9", "--out", str(whole / "out")]) == 1
    assert f"{absent} holds no rows" in capsys.readouterr().err
    assert not (whole / "out").exists()
    (whole / "pool" / "excluded.json").write_text(json.dumps(list(range(ROWS))))
    assert choose.main(["random", "--pool", str(whole / "pool"), "--count", "9", "--out", str(whole / "out")]) == 1
    assert "it chose no rows" in capsys.readouterr().err
    assert not (whole / "out").exists()
    with pytest.raises(SystemExit):
        choose.main(["d2", "--pool", "x", "--count", "9", "--out", str(whole / "o"), "--set", "beta=1"])
    assert "d2 has no parameter 'beta'; it has: neighbours, gamma, cut" in capsys.readouterr().err
