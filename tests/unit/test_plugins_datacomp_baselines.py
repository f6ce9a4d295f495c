"""DataComp's filters over pools in its layout: each rule stated once more, plainly, and the uids compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from curation_plugins.agents.programs.baseline import choose, policy
from curation_plugins.agents.programs.baseline.plan import (
    EVERY,
    FIRST_OF_PAIRS,
    LARGE,
    Step,
    budget,
    methods_for,
    spread,
)
from curation_plugins.agents.programs.baseline.selection import clip_score, image_clusters, neg_clip_loss
from curation_plugins.agents.programs.baseline.selection.method import Method
from curation_plugins.agents.programs.baseline.selection.pair_files import PoolUnreadable
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import run, written
from curation_plugins.agents.programs.baseline.session import Session
from curation_plugins.policies.carried import carried_data
from made_pairs import ENGLISH, WIDTH, make_pairs

METHODS = {method.name: method for method in EVERY}
Pair = Mapping[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("pairs")
    pairs = make_pairs(folder / "pool", dead=40)
    extra = folder / "extra"
    extra.mkdir()
    rng = np.random.default_rng(8)
    (extra / "class_words.txt").write_text("dog\nLamp\nseven\n")
    np.save(extra / "target_images.npy", rng.normal(size=(7, WIDTH)))
    np.save(extra / "centroids.npy", rng.normal(size=(20, WIDTH)))
    return folder, pairs


def uids(method: str, pool: Pool, count: int = 10**6, **parameters: float) -> set[str]:
    """What a method hands in, as hexadecimal digits."""
    settings = {**METHODS[method].settings[0], **parameters}
    rows = run(METHODS[method], pool, count, 0, settings)
    return {f"{high:016x}{low:016x}" for high, low in pool.pairs.uids[rows].tolist()}


def english(pair: Pair) -> bool:
    return pair["text"] in ENGLISH


def best(pairs: Mapping[str, Pair], column: str, share: float) -> set[str]:
    """Whoever has at least the score of the one in place int(n * share); undefined scores come last."""
    score = {uid: float(pair[column]) for uid, pair in pairs.items()}
    falling = sorted(-value for value in score.values() if not math.isnan(value))
    falling += [math.nan] * (len(score) - len(falling))
    limit = -falling[int(len(score) * share)]
    return {uid for uid, value in score.items() if value >= limit}


def where(pairs: Mapping[str, Pair], rule: Callable[[Pair], bool]) -> set[str]:
    return {uid for uid, pair in pairs.items() if rule(pair)}


def basic(pair: Pair) -> bool:
    sides = sorted((int(pair["original_width"]), int(pair["original_height"])))
    long = len(pair["text"].split()) > 2 and len(pair["text"]) > 5
    return english(pair) and long and sides[0] >= 200 and sides[1] <= 3 * sides[0]


def least(pair: Pair, value: float) -> bool:
    return bool(np.float32(pair["clip_b32_similarity_score"]) >= np.float32(value))


B32, L14 = "clip_b32_similarity_score", "clip_l14_similarity_score"
RULES: dict[str, tuple[str, dict[str, float], Callable[[Mapping[str, Pair]], set[str]]]] = {
    "no-filter": ("no-filter", {}, lambda pairs: set(pairs)),
    "english": ("english", {}, lambda pairs: where(pairs, english)),
    "basic": ("basic", {}, lambda pairs: where(pairs, basic)),
    **{
        f"{name}-{share}": (name, {"fraction": share}, lambda pairs, c=column, s=share: best(pairs, c, s))
        for name, column in (("clip-b32", B32), ("clip-l14", L14))
        for share in (0.01, 0.3, 0.5, 0.99)
    },
    "band": (
        "clip-band",
        {"low": 0.05, "high": 0.3},
        lambda pairs: best(pairs, B32, 0.3) - best(pairs, B32, 0.05),
    ),
    "threshold-0.3": ("clip-threshold", {"least": 0.3}, lambda pairs: where(pairs, lambda one: least(one, 0.3))),
    "threshold-0.28": ("clip-threshold", {"least": 0.28}, lambda pairs: where(pairs, lambda one: least(one, 0.28))),
    "laion2b": ("laion2b", {}, lambda pairs: where(pairs, lambda one: english(one) and least(one, 0.28))),
    "intersection": ("intersection", {}, lambda pairs: best(pairs, L14, 0.3) & where(pairs, english)),
    "text-based": (
        "text-based",
        {},
        lambda pairs: where(
            pairs,
            lambda one: english(one) and any(w.lower() in ("dog", "lamp", "seven") for w in one["text"].split()),
        ),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_filter_selects_the_uids_of_datacomp_s_rule(rule: str, made: Any) -> None:
    folder, pairs = made
    name, parameters, wanted = RULES[rule]
    found = uids(name, Pool(folder / "pool", folder / "extra"), **parameters)
    assert found == wanted(pairs)
    assert len(found) > 0 or rule == "clip-l14-0.99"
    assert rule == "no-filter" or len(found) < len(pairs)


def test_a_threshold_among_undefined_scores_keeps_nothing_as_datacomp_s_does(made: Any) -> None:
    folder, _ = made
    assert uids("clip-l14", Pool(folder / "pool"), fraction=0.99) == set()
    assert clip_score.best(np.array([0.1, np.nan, 0.3]), 1.0).tolist() == [True, False, True]


def test_image_based_keeps_captions_that_say_something_in_clusters_of_targets(made: Any) -> None:
    folder, pairs = made
    targets, centroids = (np.load(folder / "extra" / name) for name in ("target_images.npy", "centroids.npy"))
    near = {int(np.argmax(centroids @ target)) for target in targets}

    def rule(pair: Pair) -> bool:
        tokens = len(pair["text"].split()) + pair["text"].count("\n")
        says = english(pair) and tokens > 1 and len(pair["text"]) > 5
        return says and int(np.argmax(centroids @ pair["l14_img"].astype(float))) in near

    pool = Pool(folder / "pool", folder / "extra")
    assert uids("image-based", pool) == where(pairs, rule)
    assert uids("image-and-clip", pool) == where(pairs, rule) & best(pairs, L14, 0.3)


def test_without_centroids_the_pool_s_own_clusters_are_made(made: Any, tmp_path: Path) -> None:
    folder, pairs = made
    some = sorted(pairs)[:3]
    np.save(tmp_path / "target_images.npy", np.array([pairs[uid]["l14_img"] for uid in some]))
    found = uids("image-based", Pool(folder / "pool", tmp_path))
    assert {uid for uid in some if english(pairs[uid]) and len(pairs[uid]["text"]) > 5} - {
        uid for uid in some if len(pairs[uid]["text"].split()) < 2
    } <= found
    assert len(found) < len(where(pairs, english))


@pytest.mark.parametrize(
    ("text", "count"),
    [("one two", 2), ("one\ntwo", 3), ("\n", 1), ("", 0), ("a\0b", 2), ("no\u00a0break", 1), (" pad ", 1)],
    ids=["blank", "line", "only-line", "empty", "zero", "unbroken", "padded"],
)
def test_tokens_are_counted_as_fasttext_reads_words(text: str, count: int) -> None:
    assert image_clusters.tokens(text) == count


def test_neg_clip_loss_is_the_formula(made: Any) -> None:
    folder, pairs = made
    pool = Pool(folder / "pool")
    parameters = {**METHODS["neg-clip-loss"].settings[0], "repeats": 1.0}
    found = neg_clip_loss.corrected(pool, np.random.default_rng(0), parameters)
    image, text = (np.array([pair[name] for pair in pairs.values()], dtype=float) for name in ("l14_img", "l14_txt"))
    image, text = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (image, text))
    fit = np.exp(image @ text.T / 0.01)
    loss = -0.5 * (np.log(np.diag(fit) / fit.sum(axis=1)) + np.log(np.diag(fit) / fit.sum(axis=0)))
    np.testing.assert_allclose(found, -0.01 * loss, atol=0.005)
    assert len(uids("neg-clip-loss", pool)) == pytest.approx(0.3 * len(pairs), abs=8)


def test_no_pair_gains_by_the_size_of_its_batch(made: Any) -> None:
    folder, pairs = made
    pool = Pool(folder / "pool")
    parameters = {**METHODS["neg-clip-loss"].settings[0], "repeats": 1.0, "batch": len(pairs) - 1.0}
    found = neg_clip_loss.corrected(pool, np.random.default_rng(0), parameters)
    assert found.max() < 0, "a pair alone in its batch has nothing to be compared with, and scores 0"


def test_an_address_that_is_none_is_of_no_domain(tmp_path: Path) -> None:
    make_pairs(tmp_path, files=1, lines=4)
    path = tmp_path / "metadata" / "0.parquet"
    table = parquet.read_table(path)
    urls = pyarrow.array(["http://[broken", "", None, "https://User@Site.example:80/a"])
    parquet.write_table(table.set_column(table.column_names.index("url"), "url", urls), path)
    assert sorted(Pool(tmp_path).sources.tolist()) == ["", "", "", "user@site.example:80"]


def test_what_takes_too_long_on_a_large_pool_is_left_out_before_its_needs_are_looked_for() -> None:
    asked = list[str]()
    session = object.__new__(Session)
    session._pool = cast(Pool, SimpleNamespace(size=LARGE + 1, has=lambda need: asked.append(need) or True))
    usable = session._usable(methods_for(True))
    assert {method.name for method in usable} == {method.name for method in methods_for(True) if method.large}
    assert "source" not in asked


def test_the_documented_way_to_labels_works_on_datacomp_s_layout(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, pairs = made
    text = (Path(__file__).parents[2] / "docs" / "baselines.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("    from pathlib import Path\n    import fasttext\n")
    lines = [line[4:] for line in rest.partition("\n\n")[0].splitlines()]

    def predict(texts: list[str]) -> tuple[list[list[str]], None]:
        assert not any("\n" in one for one in texts)
        return [["__label__en" if one == "two words" else "__label__de"] for one in texts], None

    fasttext = SimpleNamespace(load_model=lambda path: SimpleNamespace(predict=predict))
    code = "\n".join(lines).replace("POOL", str(folder / "pool")).replace("EXTRA", str(tmp_path))
    exec(code, {"fasttext": fasttext, "Path": Path})
    found = uids("english", Pool(folder / "pool", tmp_path))
    assert found == where(pairs, lambda pair: pair["text"] == "two words")
    assert found


def test_tmars_needs_masked_scores_and_takes_their_best_half(made: Any, tmp_path: Path) -> None:
    folder, pairs = made
    assert not Pool(folder / "pool").has("masked")
    masked = {uid: place / len(pairs) for place, uid in enumerate(pairs)}
    table = {"uid": ["f" * 32, *masked], "masked_l14_similarity_score": [9.0, *masked.values()]}
    parquet.write_table(pyarrow.table(table), tmp_path / "masked.parquet")
    found = uids("tmars", Pool(folder / "pool", tmp_path))
    assert found == {
        uid for uid, value in masked.items() if value >= sorted(masked.values(), reverse=True)[len(pairs) // 2]
    }


def test_labels_that_a_user_brings_stand_before_our_rule(made: Any, tmp_path: Path) -> None:
    folder, pairs = made
    labels = {uid: "en" if place % 3 == 0 else "de" for place, uid in enumerate(pairs)}
    table = {"uid": list(labels), "language": list(labels.values())}
    parquet.write_table(pyarrow.table(table), tmp_path / "labels.parquet")
    pool = Pool(folder / "pool", tmp_path)
    assert uids("english", pool) == {uid for uid, label in labels.items() if label == "en"}
    out = tmp_path / "out"
    assert "uids" in json.loads(made_by(out, "english", folder / "pool", tmp_path)["manifest.json"])["hands_in"]
    assert (out / "signals" / "signals.npz").exists()
    assert {f"{high:016x}{low:016x}" for high, low in np.load(out / "uids.npy").tolist()} == uids("english", pool)


def made_by(out: Path, method: str, pool: Path, extra: Path) -> dict[str, bytes]:
    assert (
        choose.main([method, "--pool", str(pool), "--extra", str(extra), "--count", "9999", "--out", str(out)]) == 0
    )
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["random", "semdedup", "d2", "k-center", "similarity-band", "source-balanced"])
def test_methods_of_row_pools_work_on_pairs_where_their_needs_are_met(name: str, made: Any, tmp_path: Path) -> None:
    folder, pairs = made
    losses = {"uid": list(pairs), "loss": list(np.random.default_rng(2).random(len(pairs)))}
    parquet.write_table(pyarrow.table(losses), tmp_path / "loss.parquet")
    pool = Pool(folder / "pool", tmp_path)
    assert all(pool.has(need) for need in METHODS[name].needs)
    found = uids(name, pool, count=100)
    assert len(found) == 100
    assert found <= set(pairs)
    assert uids(name, Pool(folder / "pool", tmp_path), count=100) == found


def test_rows_are_ranks_among_reachable_uids_and_a_row_named_twice_counts_twice(made: Any) -> None:
    folder, pairs = made
    pool = Pool(folder / "pool")
    assert pool.size == len(pairs) == 560
    assert [f"{high:016x}{low:016x}" for high, low in pool.pairs.uids.tolist()] == list(pairs)
    data = written(METHODS["no-filter"], pool, np.array([5, 2, 5]), 0)
    header, values = data[:10], np.frombuffer(data[-48:], dtype="u8,u8")
    assert header.startswith(b"\x93NUMPY")
    assert values.tolist() == pool.pairs.uids[[2, 5, 5]].tolist()
    scores = np.asarray(pool.column("clip_b32"))
    assert scores.dtype == np.float32
    assert scores.tolist() == [pair[B32] for pair in pairs.values()]
    np.testing.assert_array_equal(
        pool.features("image_features")[np.array([9, 0])],
        [list(pairs.values())[place]["l14_img"] for place in (9, 0)],
    )


def test_more_than_may_be_handed_in_is_cut_at_random(made: Any) -> None:
    folder, _ = made
    pool = Pool(folder / "pool")
    everything = uids("clip-b32", pool)
    some = uids("clip-b32", pool, count=50)
    assert len(some) == 50
    assert some < everything


@pytest.mark.parametrize("bad", ["short", "letters", "no-column", "no-parquet"])
def test_metadata_that_cannot_be_read_is_named(bad: str, tmp_path: Path) -> None:
    make_pairs(tmp_path, files=1, lines=4)
    file = tmp_path / "metadata" / "0.parquet"
    if bad == "no-parquet":
        file.write_bytes(b"PAR1 or not")
    else:
        uid = {"short": "ab", "letters": "g" * 32, "no-column": ""}[bad]
        parquet.write_table(pyarrow.table({"uid" if uid else "id": [uid, uid]}), file)
    with pytest.raises(PoolUnreadable, match=r"0\.parquet"):
        Pool(tmp_path)


def test_features_of_another_number_than_lines_are_refused(tmp_path: Path) -> None:
    make_pairs(tmp_path, files=1, lines=4)
    np.savez(tmp_path / "metadata" / "0.npz", l14_img=np.zeros((3, WIDTH)))
    with pytest.raises(PoolUnreadable, match="3 vectors for 4 lines"):
        Pool(tmp_path).features("image_features")[np.array([0])]


# -- the plan, and what is handed in -----------------------------------------------------------------


def test_eight_iterations_on_pairs_are_the_filters_that_every_report_shows() -> None:
    shipped = [m for m in methods_for(True) if m.name in FIRST_OF_PAIRS[:8]]
    assert sorted(m.name for m in shipped) == sorted(m.name for m in spread(methods_for(True), 8, FIRST_OF_PAIRS))
    assert {m.name for m in shipped} == {
        *("no-filter", "random", "basic", "clip-b32", "clip-l14", "clip-band", "english", "intersection")
    }
    assert sorted(m.name for m in methods_for(True)) == sorted(METHODS)
    assert not any("pairs" in method.needs for method in methods_for(False))


def test_a_method_without_a_share_of_its_own_takes_as_much_as_the_best_published_filter() -> None:
    assert budget(METHODS["random"], True, 1000, 1000) == 300
    assert budget(METHODS["random"], True, 1000, 200) == 200
    assert budget(METHODS["clip-b32"], True, 1000, 1000) == 1000
    assert budget(METHODS["random"], False, 1000, 900) == 900


@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_a_policy_passes_for_code_where_policies_are_run_again(method: Method, tmp_path: Path) -> None:
    policy.write(tmp_path, Step(1, method, method.settings[0], 3), 100, 3, {})
    assert carried_data(files_of(tmp_path), 12_800_000) == ()


def files_of(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
