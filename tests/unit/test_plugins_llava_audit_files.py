"""The audit of a task's own files and of records that are handed in: what it writes, refuses and leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.embeddings import embedding_findings
from curation_plugins.tasks.llava.audit.files import audit_files
from curation_plugins.tasks.llava.audit.findings import read_findings, read_summary
from curation_plugins.tasks.llava.audit.records import audit_records, problems_of
from curation_plugins.tasks.llava.items import read_items, write_items
from curation_plugins.tasks.llava.rows import read_rows
from curation_plugins.tasks.llava.tiny.benchmarks import make_benchmarks
from curation_plugins.tasks.llava.tiny.pool import make_pool
from made_leaks import World

NAMES = ("MMBench", "MMVet", "LLaVABench")


def quiet(what: str, done: float) -> None:
    assert 0 <= done <= 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Assets whose pool is honest but for one row."""
    made = World(tmp_path)
    made.add_items(30)
    made.add_honest(40)
    made.leak(made.items[4], "question")
    write_items(made.benchmarks, "public", made.items[::2])
    write_items(made.benchmarks, "sealed", made.items[1::2])
    write_rows(made)
    return made


def write_rows(world: World) -> None:
    lines = "".join(row.model_dump_json(by_alias=True) + "\n" for row in world.rows)
    layout.rows_file(world.folder).write_text(lines, encoding="utf-8")


def test_evidence_stays_on_the_host_and_ids_go_to_the_pool(world: World) -> None:
    audit_files(world.folder, quiet)
    (row,) = world.planted
    (finding,) = read_findings(layout.audit(world.folder))
    assert finding.row == row
    assert finding.item_says.startswith(world.items[4].question)
    assert json.loads(layout.excluded_file(world.folder).read_text()) == [row]
    shown = [path for path in layout.pool(world.folder).rglob("*.json*") if path.name != "rows.jsonl"]
    assert [path.name for path in shown] == ["excluded.json"]


def test_excluded_rows_say_and_show_nothing_and_keep_their_place(world: World) -> None:
    """Else an agent that reads them beside the list of ids reads what the benchmarks ask."""
    by_picture = world.leak(world.items[5], "image")
    shared = world.draw(world.pool)
    by_text = world.say(world.items[7].question, "no", shared)
    world.say("What is in the image?", "a mill", shared)
    write_rows(world)
    before = list(read_rows(layout.rows_file(world.folder)))
    audit_files(world.folder, quiet)
    after = list(read_rows(layout.rows_file(world.folder)))
    leaking = {*world.planted, by_text}
    assert by_picture in leaking
    assert len(leaking) == 3
    assert len(after) == len(before)
    assert [row.content_hash() for row in after] == [row.content_hash() for row in before]
    assert [row.source for row in after] == [row.source for row in before]
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if place in leaking:
            assert (new.id, new.image) == ("", None)
            assert [turn.value for turn in new.conversations] == ["(withheld)", "(withheld)"]
        else:
            assert new == old
    assert not (layout.pool(world.folder) / str(before[by_picture].image)).exists()
    assert (layout.pool(world.folder) / shared).exists()


def test_a_clean_pool_gets_no_file_of_excluded_rows(world: World) -> None:
    world.rows.pop()
    write_rows(world)
    audit_files(world.folder, quiet)
    assert not layout.excluded_file(world.folder).exists()
    assert read_summary(layout.audit(world.folder)).counts.excluded == 0


def test_a_truncated_image_is_an_error_or_its_row_is_excluded(world: World) -> None:
    (planted,) = world.planted
    broken = layout.pool(world.folder) / str(world.rows[3].image)
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(AssetsInvalid, match=rf"1 row\(s\) cannot be read: row 3 \({world.rows[3].image}\)"):
        audit_files(world.folder, quiet)
    assert not layout.audit(world.folder).exists()
    audit_files(world.folder, quiet, keep_unreadable=True, also_excluded=[7])
    assert json.loads(layout.excluded_file(world.folder).read_text()) == [3, 7, planted]


@pytest.mark.parametrize("half", ["public", "sealed"])
def test_without_all_items_nothing_is_audited(world: World, half: str) -> None:
    audit_files(world.folder, quiet)
    file = layout.benchmarks(world.folder) / f"{half}.jsonl"
    kept = file.read_bytes()
    for damage in (None, kept[: len(kept) // 2], b"{}\n"):
        file.unlink(missing_ok=True)
        if damage is not None:
            file.write_bytes(damage)
        with pytest.raises(AssetsInvalid, match=f"the {half} items .* nothing was audited"):
            audit_files(world.folder, quiet)
        with pytest.raises(AssetsInvalid, match=f"the {half} items .* nothing was audited"):
            audit_records(world.rows, world.folder, NAMES, pictures=world.pool)


def test_records_are_not_let_through_when_a_benchmark_or_its_picture_is_missing(world: World) -> None:
    audit_files(world.folder, quiet)
    with pytest.raises(AssetsInvalid, match="no items of benchmark MMStar"):
        audit_records(world.rows, world.folder, (*NAMES, "MMStar"), pictures=world.pool)
    picture = layout.benchmarks(world.folder) / world.items[9].images[0]
    kept = picture.read_bytes()
    picture.unlink()
    with pytest.raises(AssetsInvalid, match=picture.name):
        audit_records(world.rows, world.folder, NAMES, pictures=world.pool)
    picture.write_bytes(kept)
    shutil.rmtree(layout.audit(world.folder))
    with pytest.raises(AssetsInvalid, match=r"audit\.json"):
        audit_records(world.rows, world.folder, NAMES, pictures=world.pool)


def test_leaking_records_are_named_without_their_items(world: World) -> None:
    audit_files(world.folder, quiet)
    kept = len(world.rows)
    world.say("What is in the image?", "a mill", world.draw(world.pool))
    world.leak(world.items[0], "option-text")
    (layout.pool(world.folder) / world.draw(world.pool)).write_bytes(b"no picture")
    world.say("What is in the image?", "a mill", f"images/{world.pictures:06d}.jpg")
    found = audit_records(world.rows[kept:], world.folder, NAMES, pictures=world.pool)
    problems = problems_of(found)
    assert [(one.code, one.row) for one in problems.listed] == [("benchmark-item", 1), ("unreadable-image", 2)]
    said = " ".join(one.message for one in problems.listed)
    assert "MMBench" not in said
    assert world.items[0].question not in said


def test_an_item_handed_in_often_does_not_become_common(world: World) -> None:
    audit_files(world.folder, quiet)
    many = len(world.rows)
    for _ in range(60):
        world.leak(world.items[1], "question")
    found = audit_records(world.rows[many:], world.folder, NAMES, pictures=world.pool)
    assert found.excluded() == frozenset(range(60))


def test_llava_tiny_is_audited_by_the_same_rules_and_loses_no_row(tmp_path: Path) -> None:
    """Its questions are on few patterns and its pictures alike by nature: neither is evidence; a copy is."""
    make_pool(layout.pool(tmp_path), layout.truth_file(tmp_path), 1_000, 3)
    make_benchmarks(layout.benchmarks(tmp_path), 60, 3)
    audit_files(tmp_path, quiet)
    counts = read_summary(layout.audit(tmp_path)).counts
    assert (counts.rows, counts.items) == (1_000, 600)
    assert counts.excluded == counts.reported == 0
    assert not layout.excluded_file(tmp_path).exists()

    item = read_items(layout.benchmarks(tmp_path), "sealed")[0]
    place, row = next(pair for pair in enumerate(read_rows(layout.rows_file(tmp_path))) if pair[1].image)
    shutil.copy(layout.benchmarks(tmp_path) / item.images[0], layout.pool(tmp_path) / str(row.image))
    audit_files(tmp_path, quiet)
    (finding,) = read_findings(layout.audit(tmp_path))
    assert (finding.row, finding.rule, finding.benchmark) == (place, "image", item.benchmark)


def with_vectors(world: World, vectors: np.ndarray) -> None:
    """CLIP's vectors of the pool as the signals have them: the picture's, then the text's."""
    folder = layout.pool(world.folder) / "signals"
    folder.mkdir()
    np.save(folder / "clip_embeddings.npy", np.hstack([vectors, np.ones_like(vectors)]).astype(np.float16))


def test_pictures_that_clip_takes_for_a_benchmarks_are_reported(world: World) -> None:
    rng = np.random.default_rng(0)
    pictures = sorted({image for item in world.items for image in item.images})
    known = rng.standard_normal((len(pictures), 32))
    shown = rng.standard_normal((len(world.rows), 32))
    shown[5] = 3 * known[9] + 0.1 * rng.standard_normal(32)
    shown[6] = 0.0  # a row without a picture
    with_vectors(world, shown)
    (finding,) = embedding_findings(world.folder, world.items, pictures, known)
    assert (finding.row, finding.rule, finding.item_says) == (5, "embedding", pictures[9])
    assert finding.score > 0.95
    assert not finding.excludes
    with pytest.raises(AssetsInvalid, match="of 32 and of 16 numbers"):
        list(embedding_findings(world.folder, world.items, pictures, known[:, :16]))


def test_without_signals_there_is_nothing_to_compare(world: World) -> None:
    with pytest.raises(AssetsInvalid, match="clip_embeddings"):
        list(embedding_findings(world.folder, world.items, [], np.zeros((0, 4))))
