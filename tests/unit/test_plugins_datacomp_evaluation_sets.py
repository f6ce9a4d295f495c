"""DataComp's evaluation sets: which there are, and what is missing, damaged or hostile in their files."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datacomp_sets as made
from curation_plugins import config, paths
from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.tasks.datacomp.evaluation import files, sets, winogavil
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from curation_plugins.tasks.datacomp.task import DatacompTask
from datacomp_scoring import (
    CIFAR,
    FACES,
    FLICKR,
    FMOW,
    PETS,
    WINO,
    add,
    entry_and_folder,
    one_of_each,
    scorer,
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    made.without_counts(monkeypatch)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_of_each(tmp_path_factory.mktemp("assets"))


# --- the sets there are ---


def test_datacomps_sets_are_its_task_list() -> None:
    known = {key: entry for key, entry in sets.evaluation_sets().items() if entry.datacomp}
    assert len(known) == 40
    assert len(sets.default_benchmarks()) == 38
    assert [key for key, entry in known.items() if not entry.counted] == [FACES, "fairness/utkface"]
    groups = [entry.group for entry in known.values()]
    assert {group: groups.count(group) for group in ("imagenet", "shifts", "vtab", "retrieval")} == {
        "imagenet": 1,
        "shifts": 6,
        "vtab": 13,
        "retrieval": 3,
    }
    assert len({entry.folder for entry in sets.evaluation_sets().values()}) == len(sets.evaluation_sets())


def test_folders_are_called_as_datacomps_own_download_calls_them() -> None:
    assert made.set_of("vtab/caltech101").folder == "wds_vtab-caltech101_test"
    assert made.set_of("fairness/dollar_street").folder == "wds_dollar_street_test"
    assert made.set_of("wilds/fmow").folder == "wds_wilds-fmow_test"


def test_a_mean_is_datacomps_only_with_all_of_its_sets() -> None:
    whole = sets.default_benchmarks()
    assert sets.mean_name(whole) == "mean over DataComp's 38"
    assert sets.mean_name(whole[:12]) == "mean over 12 of DataComp's 38 (partial)"
    scores = dict.fromkeys(whole, 0.25) | {"imagenet1k": 0.5}
    assert sets.averages(scores)["Average"] == pytest.approx((37 * 0.25 + 0.5) / 38)
    assert sets.averages(scores)["ImageNet"] == 0.5
    del scores["vtab/svhn"]
    assert set(sets.averages(scores)) == {"ImageNet", "ImageNet dist. shifts", "Retrieval"}


@pytest.mark.parametrize(
    ("benchmarks", "values", "said"),
    [
        (["imagenet"], {}, "did you mean"),
        ([FACES], {}, "no main metric"),
        ([CIFAR, PETS, CIFAR], {}, f"{CIFAR} is named twice"),
        ([CIFAR], {"extra": [PETS]}, "has a metric"),
        ([CIFAR], {"sealed_sets": [PETS]}, "none of the task's"),
        ([CIFAR], {"sealed_sets": [CIFAR]}, "would hear nothing"),
    ],
    ids=["unknown", "no metric", "twice", "extra with a metric", "sealed but not scored", "all sealed"],
)
def test_settings_that_make_no_sense_are_refused(benchmarks: list[str], values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        Evaluation(**values).of(benchmarks)


@pytest.mark.parametrize("name", ["datacomp-small", "datacomp-tiny"])
def test_the_brief_names_the_sets_of_which_nothing_is_told(name: str) -> None:
    shipped = config.load(paths.TASKS / name / "task.yaml")
    first, *_ = shipped.benchmarks
    sealed = shipped.model_copy(update={"evaluation": {**shipped.evaluation, "sealed_sets": [first]}})
    assert "told nothing" not in DatacompTask(shipped).brief()
    brief = " ".join(DatacompTask(sealed).brief().split())
    assert f"Of {sets.look_up(first).name} you are told nothing" in brief


def test_time_and_room_do_not_decide_over_what_compares() -> None:
    plain = Evaluation().of([CIFAR, PETS])
    assert Evaluation(batch=7, threads=3, decoded_bytes=0).of([CIFAR, PETS]).identity() == plain.identity()
    assert Evaluation(public_share=0.3).of([CIFAR, PETS]).identity() != plain.identity()
    assert Evaluation(sealed_sets=(PETS,)).of([CIFAR, PETS]).identity() != plain.identity()


# --- files: what is missing, damaged or hostile ---


@pytest.mark.parametrize(
    "gone", ["test/nshards.txt", "test/1.tar", "classnames.txt", "zeroshot_classification_templates.txt"]
)
def test_a_missing_file_is_named_and_no_score_is_made_up(tmp_path: Path, gone: str) -> None:
    _, folder = entry_and_folder(tmp_path)
    (folder / gone).unlink()
    assert [line for line in files.missing(tmp_path, [CIFAR]) if gone in line]
    with pytest.raises(AssetsInvalid, match=gone.replace(".", r"\.")) as caught:
        files.require(tmp_path, [CIFAR])
    assert "partial" in str(caught.value.hint)


def test_every_missing_set_is_named(tmp_path: Path) -> None:
    entry_and_folder(tmp_path)
    with pytest.raises(AssetsInvalid) as caught:
        files.require(tmp_path, [CIFAR, PETS, FMOW])
    assert "vtab/pets" in str(caught.value)
    assert "wilds/fmow" in str(caught.value)
    assert "cifar10:" not in str(caught.value)


def truncate(folder: Path) -> None:
    tar = folder / "test" / "1.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])


def cut_at_a_header(folder: Path) -> None:
    """Where a member ends: Python's tarfile takes it for the end."""
    tar = folder / "test" / "1.tar"
    with tarfile.open(tar) as archive:
        third = archive.getmembers()[4]
    tar.write_bytes(tar.read_bytes()[: third.offset])


def link(folder: Path) -> None:
    with tarfile.open(folder / "test" / "1.tar", "w") as archive:
        member = tarfile.TarInfo("s0.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)


def text(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return spoil


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated tar": (truncate, "1.tar is cut off or damaged"),
    "tar that ends at a header": (cut_at_a_header, "1.tar is cut off or damaged"),
    "link in a tar": (link, "no plain file"),
    "no tar at all": (text("test/1.tar", b"<html>not found</html>" * 99), "1.tar is cut off"),
    "git-lfs pointer for a tar": (
        text("test/1.tar", b"version https://git-lfs.github.com/spec/v1\n"),
        "1.tar is cut",
    ),
    "sample without image": (lambda f: add(f, {"a.cls": b"0"}), "no image"),
    "sample twice": (lambda f: add(f, {"a.png": b"", "b.png": b"", "a.cls": b"0"}), "comes twice"),
    "member twice": (lambda f: add(f, {"a.png": b"", "a.PNG": b""}), "two members .png"),
    "class that is none": (lambda f: add(f, {"a.png": made.image(1), "a.cls": b"6"}), "numbered from 0"),
    "class below zero": (lambda f: add(f, {"a.png": made.image(1), "a.cls": b"-1"}), "numbered from 0"),
    "class of other digits": (lambda f: add(f, {"a.png": made.image(1), "a.cls": "٣".encode()}), "numbered from 0"),
    "no class": (lambda f: add(f, {"a.png": made.image(1)}), "has no .cls"),
    "class of a megabyte": (lambda f: add(f, {"a.png": made.image(1), "a.cls": b"0" * 2**21}), "make no sense"),
    "endless shards": (text("test/nshards.txt", b"9" * 40), "not how many tars"),
    "no shards": (text("test/nshards.txt", b"0"), "not how many tars"),
    "huge class names": (text("classnames.txt", b"x" * (2**20 + 1)), "longer than"),
    "class names in bytes": (text("classnames.txt", b"\xff\xfe"), "not UTF-8"),
    "template without a place": (text("zeroshot_classification_templates.txt", b"a photo"), "no place {c}"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_damaged_or_hostile_set_is_named_before_it_is_scored(tmp_path: Path, assets: Path, attack: str) -> None:
    spoil, said = HOSTILE[attack]
    entry, folder = entry_and_folder(tmp_path)
    spoil(folder)
    with pytest.raises(AssetsInvalid) as caught:
        scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)


def pickled(folder: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    add(folder, {"a.png": made.image(1), "a.cls": b"0", "a.npy": out.getvalue()})


@pytest.mark.parametrize("values", ["pickle", [1, 2], [-1, 0, 0], [np.nan, 0, 0], [1e300, 0, 0], "nonsense"])
def test_columns_that_name_no_group_are_refused(tmp_path: Path, assets: Path, values: Any) -> None:
    entry, folder = entry_and_folder(tmp_path, FMOW)
    if values == "pickle":
        pickled(folder)
    else:
        out = io.BytesIO(b"\x93NUMPY nonsense")
        if values != "nonsense":
            np.save(out, np.array(values))
        add(folder, {"a.png": made.image(1), "a.cls": b"0", "a.npy": out.getvalue()})
    with pytest.raises(AssetsInvalid, match=r"sample 'a' .* has a \.npy"):
        scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))


@pytest.mark.parametrize(
    "told",
    [
        b"[]",
        b"{}",
        b'{"cue": "x", "candidates": ["picture-1"], "associations": ["picture-2"]}',
        b"\xff",
        b"[" * 99999,
    ],
    ids=["list", "empty", "no candidate", "bytes", "deep"],
)
def test_an_instance_that_asks_nothing_is_refused(tmp_path: Path, assets: Path, told: bytes) -> None:
    entry, folder = entry_and_folder(tmp_path, WINO)
    add(folder, {"a.json": told})
    with pytest.raises(AssetsInvalid, match="sample 'a'"):
        scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))


def test_a_forgotten_shard_is_noticed(tmp_path: Path) -> None:
    entry = made.set_of(CIFAR, items=200)
    made.write_set(tmp_path, entry, made.samples_of(entry, 199), shards=4)
    assert len(files.open_set(tmp_path, entry).items) == 199  # DataComp's own counts are not exact to the item
    (tmp_path / entry.folder / "test" / "nshards.txt").write_text("3")
    with pytest.raises(AssetsInvalid, match="150 items were found, and CIFAR-10 has 200"):
        files.open_set(tmp_path, entry)


# --- WinoGAViL's own files ---


def test_winogavils_table_and_images_become_a_set(tmp_path: Path, assets: Path) -> None:
    words = ["tea party", "St. Ives", *(f"w{n}" for n in range(10))]
    (tmp_path / "images").mkdir()
    for number, word in enumerate(words):
        (tmp_path / "images" / f"{word}.jpg").write_bytes(made.image(number, kind="JPEG"))
    table = tmp_path / "list.csv"
    rows = [("moon", words, words[:2]), ("apple", words[:5], words[1:3])]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "candidates", "cue", "associations"])
        writer.writerows([0, json.dumps(all_of), cue, json.dumps(right)] for cue, all_of, right in rows)
    assert winogavil.convert(table, tmp_path / "images", tmp_path / "out") == 2
    found = files.open_set(tmp_path / "out", made.set_of(WINO))
    cue, candidates, right = found.instance(found.instances[0])
    assert (cue, len(candidates), len(right)) == ("moon", 12, 2)
    result = scorer(assets, tmp_path).score(found)
    assert len(result.items) == 1
    assert result.reported["jaccard_score_10-12"] == result.items[0].score
    (tmp_path / "images" / "w3.jpg").unlink()
    with pytest.raises(AssetsInvalid, match="1 candidates have no image, the first is 'w3'"):
        winogavil.convert(table, tmp_path / "images", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_caption_ends_where_its_line_does(tmp_path: Path) -> None:
    entry = made.set_of(FLICKR)
    text = "a dog\u2028 on the beach\r\n\n\x85 two\x0c of them \n"
    made.write_set(tmp_path, entry, [{"__key__": "s", "png": made.image(1), "txt": text}], shards=1)
    found = files.open_set(tmp_path, entry)
    assert found.captions(found.items[0]) == ("a dog\u2028 on the beach", "two\x0c of them")


def test_a_picture_called_as_another_is_refused_where_pictures_are_asked_for_by_name(tmp_path: Path) -> None:
    entry = made.set_of(WINO)
    samples = made.samples_of(entry, 4)
    half = [sample for sample in samples if "png" in sample]
    folder = made.write_set(tmp_path, entry, [*samples, *half], shards=2)
    with pytest.raises(AssetsInvalid, match="comes twice"):
        files.open_set(folder.parent, entry)
