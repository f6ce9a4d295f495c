"""Released lists are mapped by the content of their records, never by id or image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.released import find, write
from curation_plugins.tasks.llava.rows import content_hash_of_record, dump_row


def record(place: int, answer: str, image: str | None = "coco/1.jpg") -> dict[str, Any]:
    """All of them have one id and one image, as many rows of LLaVA-665K do."""
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": answer}]
    return {"id": "same", "image": image, "conversations": turns} if image else {"id": "same", "conversations": turns}


POOL = [record(0, "a"), record(1, "b"), record(2, "a"), record(3, "c", None), record(4, "d")]
HASHES = [content_hash_of_record(one) for one in POOL]


def test_rows_are_found_by_content_and_row_0_too() -> None:
    found = find([POOL[4], POOL[0], POOL[3]], HASHES)
    assert found.rows == (0, 3, 4)
    assert found.ambiguous == 1  # "a" stands in the pool twice, in the list once


def test_equal_contents_take_the_equal_rows_once_each() -> None:
    assert find([POOL[0], POOL[2]], HASHES).rows == (0, 2)
    with pytest.raises(AssetsInvalid, match="1 of 3 records are not in the pool"):
        find([POOL[0], POOL[2], POOL[0]], HASHES)


def test_a_position_must_be_that_of_the_content_and_counts_from_0() -> None:
    found = find([{**POOL[2], "global_id": 2}, {**POOL[1], "global_id": 1}], HASHES)
    assert found.rows == (1, 2)
    assert found.by_position == 2
    with pytest.raises(AssetsInvalid, match="record 1: global_id 2 is a row with other content"):
        find([{**POOL[1], "global_id": 2}], HASHES)


def test_a_list_of_another_pool_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    rows = [
        dump_row(
            one["id"],
            "coco",
            f"images/{one['image']}" if "image" in one else None,
            [(turn["from"], turn["value"]) for turn in one["conversations"]],
        )
        for one in POOL
    ]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([POOL[1], POOL[3]]))
    write("icons", listed, tmp_path, tmp_path / "extra")
    assert np.load(tmp_path / "extra" / "icons.npz")["icons"].tolist() == [0, 1, 0, 1, 0]
    note = json.loads((tmp_path / "extra" / "icons.json").read_text())
    assert (note["records"], note["rows"], note["pool_rows"]) == (2, 2, 5)
    listed.write_text(json.dumps([record(9, "elsewhere")]))
    with pytest.raises(AssetsInvalid, match="not in the pool"):
        write("ards", listed, tmp_path, tmp_path / "other")
    listed.write_text('[{"id": 1}]')
    with pytest.raises(AssetsInvalid, match="record 1 of the list is no dialogue"):
        write("ards", listed, tmp_path, tmp_path / "other")
    listed.write_text("{}")
    with pytest.raises(AssetsInvalid, match="no list of objects"):
        write("ards", listed, tmp_path, tmp_path / "other")
    assert not (tmp_path / "other").exists()
