"""Benchmark files: layout, images, and what is wrong with a file."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.mmstar import MMStar
from curation_plugins.tasks.llava.benchmarks.pictures import PictureBook
from curation_plugins.tasks.llava.benchmarks.tsv import TsvFile, cell, first_of, options
from made_benchmarks import encoded, png, write_tsv


def _row(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, "image": index, "question": "Which?", "answer": "A", "A": "cat", "B": "dog", **fields}


def test_cells_with_tabs_breaks_and_quotes(tmp_path: Path) -> None:
    text = 'first line\nsecond\t"quoted", ünï\r\nlast'
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(question=text)])
    [row] = source.rows(["question"])
    assert row["question"] == text


def test_missing_values_and_options_that_look_missing() -> None:
    row = {"index": "1", "A": "None", "B": "NA", "C": "nan", "D": "", "hint": "nan", "l2_category": "logic"}
    assert options(row) == {"A": "None", "B": "NA"}
    assert cell(row, "hint") == ""
    assert cell(row, "no such column") == ""
    assert first_of(row, "l2-category", "l2_category") == "logic"


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_changed_answer_is_a_hash_mismatch(tmp_path: Path, algorithm: str) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row()], algorithm)
    assert len(list(MMStar().items(source, tmp_path / "out"))) == 1
    data = source.path.read_bytes()
    source.path.write_bytes(data.replace(b"\tA\t", b"\tB\t"))
    with pytest.raises(AssetsInvalid, match=r"MMStar\.tsv is not the expected one") as caught:
        list(MMStar().items(source, tmp_path / "untouched"))
    assert "answer" in caught.value.message
    assert caught.value.hint is not None
    assert not (tmp_path / "untouched").exists()


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:abc", "sha1:" + "0" * 40, "0" * 64])
def test_what_is_no_hash_is_refused(tmp_path: Path, digest: str) -> None:
    path = write_tsv(tmp_path / "MMStar.tsv", [_row()]).path
    with pytest.raises(AssetsInvalid, match="no hash"):
        list(TsvFile(path=path, digest=digest).rows([]))


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match=r"MMStar\.tsv cannot be read"):
        list(TsvFile(path=tmp_path / "MMStar.tsv", digest="md5:" + "0" * 32).rows([]))


def test_a_missing_column_names_itself(tmp_path: Path) -> None:
    row = _row()
    del row["answer"]
    source = write_tsv(tmp_path / "MMStar.tsv", [row])
    with pytest.raises(AssetsInvalid, match="has no column answer"):
        list(MMStar().items(source, tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\timage\n1\tx\ty\n", "row 1: 3 cells instead of 2"),
        ("index\timage\n1\tx\n1\ty\n", "row 2: index '1' is empty or comes twice"),
        ("index\timage\n\tx\n", "row 1: index '' is empty"),
        ('index\timage\n1\t"x\n', "breaks off"),
        ("", "has no column index"),
    ],
)
def test_a_broken_table_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "X.tsv"
    path.write_text(text)
    source = TsvFile(path=path, digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
    with pytest.raises(AssetsInvalid, match=message):
        list(source.rows(["image"]))


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "X.tsv"
    path.write_bytes(b"index\timage\n1\t\xff\xfe\n")
    source = TsvFile(path=path, digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
    with pytest.raises(AssetsInvalid, match="breaks off or is no table"):
        list(source.rows(["image"]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (encoded(1)[:-3], "no complete base64"),
        (encoded(1)[:-2] + "!!", "no complete base64"),
        (base64.b64encode(png(1)[:-30]).decode(), "cannot be decoded"),
        (base64.b64encode(b"not an image at all, only text" * 4).decode(), "cannot be decoded"),
    ],
    ids=["cut base64", "foreign characters", "cut image", "no image"],
)
def test_a_truncated_image_names_the_row(tmp_path: Path, image: str, message: str) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(0), _row(7, image=image)])
    with pytest.raises(AssetsInvalid, match=f"row with index 7: .*{message}"):
        list(MMStar().items(source, tmp_path))


def test_images_are_shared_by_reference_and_by_content(tmp_path: Path) -> None:
    rows = [_row(0, image="3"), _row(1, image=5), _row(2, image=5), _row(3, image=6), _row(4, image="")]
    source = write_tsv(tmp_path / "MMStar.tsv", rows)
    items = {item.item: item for item in MMStar().items(source, tmp_path / "out")}
    assert sorted(items) == ["0", "1", "2", "3"], "a row without image is left out"
    assert items["0"].images == items["3"].images, "a short cell is another row's index, also of a later row"
    assert items["1"].images == items["2"].images
    assert items["1"].images != items["3"].images
    assert (tmp_path / "out" / items["1"].images[0]).read_bytes() == png(5)
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("target", ["9", "1"])
def test_a_reference_to_nothing_names_the_row(tmp_path: Path, target: str) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(0, image=target), _row(1, image="0")])
    with pytest.raises(AssetsInvalid, match=r"row with index [01]: its image is"):
        list(MMStar().items(source, tmp_path))


def test_several_images_in_one_cell(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(image=repr([encoded(1), encoded(2)]))])
    [item] = MMStar().items(source, tmp_path)
    assert len(item.images) == 2
    assert item.prompt[:2] == (0, 1)


def test_one_image_stored_in_two_lossless_ways_has_the_same_pixels(tmp_path: Path) -> None:
    bitmap = io.BytesIO()
    Image.open(io.BytesIO(png(3))).save(bitmap, "BMP")
    book = PictureBook(tmp_path, "X.tsv")
    book.read(
        [{"index": "a", "image": encoded(3)}, {"index": "b", "image": base64.b64encode(bitmap.getvalue()).decode()}]
    )
    [one], [other] = book.of("a"), book.of("b")
    assert one.pixels == other.pixels
    assert one.path != other.path


def test_a_file_is_read_row_by_row(tmp_path: Path) -> None:
    noise = random.Random(0)
    rows = [_row(index, image=noise.randbytes(1_000_000).hex()) for index in range(20)]
    source = write_tsv(tmp_path / "MMStar.tsv", rows)
    del rows
    assert source.path.stat().st_size > 40_000_000
    tracemalloc.start()
    count = sum(1 for _ in source.rows(["image"]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20
    assert peak < 30_000_000, "a row's 2 MB a few times over, and not the file's 40"
