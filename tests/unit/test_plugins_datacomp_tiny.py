"""The files of datacomp-tiny: DataComp's layout, the same bytes each time, and a truth that metadata do not tell."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from curation_plugins.making import EPOCH
from curation_plugins.scaffolds import shallow_tree
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.tiny import concepts, drawing, model, pool
from curation_plugins.tasks.datacomp.tiny.captions import STYLES, caption, languages
from curation_plugins.tasks.datacomp.tiny.pool import DOMAINS, KINDS, make_pairs
from curation_plugins.tasks.datacomp.tiny.prepare import make
from curation_plugins.tasks.datacomp.tiny.sets import CLASSIFIED, RETRIEVAL, classified_items, retrieval_items
from curation_plugins.tasks.datacomp.tiny.settings import ScorerSettings, TinySettings

SCORER = ScorerSettings(pairs=160, samples=256, wrong=0.2)
SETTINGS = TinySettings(rows=300, dead=12, shard=100, files=3, items=40, b32=SCORER, l14=SCORER)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "assets"
    folder.mkdir()
    make(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(4000, 3)


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_numbers_make_the_same_bytes(assets, tmp_path):
    make(tmp_path, SETTINGS)
    assert content(tmp_path) == content(assets)


def test_another_seed_makes_another_pool():
    assert make_pairs(50, 0) == make_pairs(50, 0)
    assert {pair.uid for pair in make_pairs(50, 0)}.isdisjoint(pair.uid for pair in make_pairs(50, 1))


def test_no_file_of_the_pool_tells_by_its_time(assets):
    assert {path.stat().st_mtime for path in layout.pool(assets).rglob("*")} == {EPOCH}


def test_the_metadata_has_the_columns_and_features_of_datacomp(assets):
    files = sorted(layout.metadata(assets).glob("*.parquet"))
    assert len(files) == SETTINGS.files
    seen = 0
    for file in files:
        table = pq.read_table(file)
        assert table.column_names == [
            "uid", "url", "text", "original_width", "original_height", "clip_b32_similarity_score",
            "clip_l14_similarity_score", "face_bboxes", "sha256",
        ]  # fmt: skip
        assert all(len(uid) == 32 and int(uid, 16) >= 0 for uid in table["uid"].to_pylist())
        with np.load(file.with_suffix(".npz"), allow_pickle=False) as features:
            assert set(features) == {"b32_img", "b32_txt", "l14_img", "l14_txt", "dedup"}
            assert {(each.dtype, len(each)) for each in features.values()} == {(np.dtype("f2"), len(table))}
            cosine = (features["l14_img"].astype("f4") * features["l14_txt"].astype("f4")).sum(1)
        assert np.allclose(cosine, table["clip_l14_similarity_score"].to_numpy(), atol=5e-3)
        seen += len(table)
    assert seen == SETTINGS.rows + SETTINGS.dead


def test_webdataset_reads_the_shards_and_finds_each_pair_of_the_metadata(assets):
    table = [row for f in layout.metadata(assets).glob("*.parquet") for row in pq.read_table(f).to_pylist()]
    known = {row["uid"]: row for row in table}
    tars = [str(path) for path in sorted(layout.shards(assets).glob("*.tar"))]
    found = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len(found) == SETTINGS.rows
    for sample in found:
        told = json.loads(sample["json"])
        row = known[told["uid"]]
        assert row["text"] == sample["txt"].decode() == told["caption"]
        assert row["sha256"] == hashlib.sha256(sample["jpg"]).hexdigest()
        assert Image.open(io.BytesIO(sample["jpg"])).size == (32, 32)
    assert len({sample["__key__"] for sample in found}) == len(found)


def test_the_statistics_count_what_could_not_be_had(assets):
    stats = [json.loads(path.read_text()) for path in layout.shards(assets).glob("*_stats.json")]
    assert sum(each["successes"] for each in stats) == SETTINGS.rows
    assert (
        sum(each["failed_to_download"] for each in stats) == SETTINGS.dead == len(np.load(layout.unreachable(assets)))
    )


def test_the_planted_truth_is_by_row(assets):
    truth, kinds = np.load(layout.truth(assets)), np.load(layout.kinds(assets))
    by_uid = {pair.uid: pair.kind for pair in make_pairs(SETTINGS.rows + SETTINGS.dead, SETTINGS.seed)}
    with PoolIndex(assets) as pool:
        assert [by_uid[f"{high:016x}{low:016x}"] for high, low in pool.uids.tolist()] == kinds.tolist()
    assert (truth == (kinds == "good")).all()


def test_nothing_of_the_truth_is_in_the_pools_folder(assets):
    names = {path.name for path in layout.pool(assets).rglob("*")}
    assert not names & {"truth.npy", "kinds.npy"}


def test_every_kind_and_domain_has_its_share(pairs):
    kinds = Counter(pair.kind for pair in pairs)
    assert set(kinds) == set(KINDS)
    assert 0.30 < kinds["good"] / len(pairs) < 0.40
    for domain, (_, mix) in DOMAINS.items():
        of_it = [pair.kind for pair in pairs if pair.domain == domain]
        assert abs(of_it.count("good") / len(of_it) - mix[0]) < 0.02


def test_neither_source_nor_length_gives_the_good_pairs_away(pairs):
    good = [place for place, pair in enumerate(pairs) if pair.kind == "good"]
    columns = {
        "source": np.array([pair.domain for pair in pairs]),
        "length": np.array([len(pair.text) for pair in pairs]),
        "turns": np.ones(len(pairs)),
    }
    found = shallow_tree.auc(columns, good, len(pairs))
    assert found is not None
    assert found < 0.62


def test_no_caption_style_holds_mostly_good_pairs(pairs):
    for style in STYLES:
        of_it = [pair.kind for pair in pairs if pair.style == style]
        assert of_it.count("good") / len(of_it) < 0.45


def test_copies_are_byte_for_byte_or_near(pairs):
    copies = [pair for pair in pairs if pair.kind == "duplicate"]
    images = Counter(pair.image for pair in copies)
    assert sum(count for count in images.values() if count > 1) > 0.3 * len(copies)
    assert sum(count == 1 for count in images.values()) > 0.2 * len(copies)
    assert len({pair.uid for pair in pairs}) == len({pair.url for pair in pairs}) == len(pairs)


def test_a_misaligned_caption_names_another_thing():
    rng = np.random.default_rng(0)
    scans = concepts.digit_shares(0)["pool"]
    for _ in range(300):
        shown = concepts.random_concept(rng, scans)
        other = pool._other(shown, scans, rng)
        assert (other.family, other.value) != (shown.family, shown.value)


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
@pytest.mark.parametrize("style", STYLES)
def test_a_caption_names_what_is_shown(language, style):
    rng = np.random.default_rng(1)
    for _ in range(60):
        shown = concepts.random_concept(rng, concepts.digit_shares(0)["pool"])
        text = caption(shown, language, style, rng).lower().replace("_", " ")
        assert languages()[language].name(shown).upper().lower() in text.upper().lower()


def test_every_language_names_everything():
    for words in languages().values():
        assert set(words.digit) == set(concepts.DIGITS)
        assert set(words.shape) == set(concepts.SHAPES)
        assert set(words.colours) == set(concepts.COLOURS)
        assert set(words.phrases) == set(words.sentences) == set(concepts.VALUES)


def test_the_tokenizer_knows_every_word_and_ends_every_text(assets, pairs):
    from open_clip.tokenizer import HFTokenizer

    made = HFTokenizer(str(layout.model(assets)), context_length=model.CONTEXT)
    ids = made([pair.text for pair in pairs]).numpy()
    assert ids.shape == (len(pairs), model.CONTEXT)
    assert not (ids == 3).any()  # the unknown word
    assert ((ids == 2).sum(1) == 1).all()


def test_evaluation_scans_and_fonts_are_in_no_pair_of_the_pool():
    shares = concepts.digit_shares(0)
    sets = [set(each.tolist()) for each in shares.values()]
    assert sum(map(len, sets)) == len(set().union(*sets)) == 1797
    assert not set(drawing.HELD_OUT_FONTS) & set(drawing.POOL_FONTS)


def test_no_evaluation_image_is_in_the_pool(pairs):
    images = {pair.image for pair in pairs}
    assert all(item.image not in images for entry in CLASSIFIED for item in classified_items(entry, 20, 3))


def test_evaluation_classes_are_even_and_in_the_list(assets):
    for entry in CLASSIFIED:
        described = look_up(entry.key)
        assert described.classes == len(entry.classes)
        assert described.chance == pytest.approx(1 / len(entry.classes), abs=1e-4)
        counts = Counter(item.label for item in classified_items(entry, 200, 0))
        assert max(counts.values()) <= 200 // len(entry.classes) + 1
        names = (layout.evaluation(assets) / described.folder / "classnames.txt").read_text().splitlines()
        assert tuple(names) == entry.classes


def test_no_two_images_of_the_retrieval_set_share_a_caption():
    items = retrieval_items(400, 0)
    texts = [text for item in items for text in item.texts]
    assert len(set(texts)) == len(texts) == 2 * len(items)
    assert look_up(RETRIEVAL).kind == "retrieval"
