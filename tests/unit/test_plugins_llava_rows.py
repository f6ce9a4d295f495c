"""Rows in LLaVA's shape, and the messages a chat template gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.metadata import read_metadata
from curation_plugins.tasks.llava.rows import Row, RowFile, dump_row, read_rows


def _row(image: str | None, *turns: tuple[str, str]) -> Row:
    return Row.model_validate_json(dump_row("7", "s", image, list(turns)))


def test_the_image_mark_moves_to_the_front_of_its_turn() -> None:
    row = _row("images/1.png", ("human", "What is it?\n<image>"), ("gpt", "A cat."))
    assert row.messages() == [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
    ]


def test_only_the_first_human_turn_carries_the_image() -> None:
    row = _row("i.png", ("human", "<image>\na"), ("gpt", "b"), ("human", "c"), ("gpt", "d"))
    assert [len(message["content"]) for message in row.messages()] == [2, 1, 1, 1]


def test_a_text_row_has_no_image_part_even_with_a_stray_mark() -> None:
    row = _row(None, ("human", "<image> hello"), ("gpt", "hi"))
    assert row.messages()[0]["content"] == [{"type": "text", "text": "hello"}]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = dump_row("0", "s", None, [("human", "a"), ("gpt", "b")])
    file.write_text(good + '{"id": "1", "conversations": [{"from": "cat", "value": "x"}]}\n')
    with pytest.raises(AssetsInvalid, match="line 2"):
        list(read_rows(file))


def test_rows_are_found_by_position_not_by_id(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [dump_row("same", "s", None, [("human", f"ü{n}"), ("gpt", "b")]) for n in range(5)]
    file.write_text("".join(lines), encoding="utf-8")
    rows = RowFile(file)
    assert len(rows) == 5
    assert [rows[n].conversations[0].value for n in (3, 0, 4)] == ["ü3", "ü0", "ü4"]
    assert list(rows) == rows[0:5]
    with pytest.raises(IndexError):
        rows[5]


def test_metadata_are_columns_by_row_id(tmp_path: Path) -> None:
    turns = [("human", "<image>\nwhat?"), ("gpt", "a cat"), ("human", "and?"), ("gpt", "no")]
    lines = [dump_row("a", "coco", "images/a.jpg", turns), dump_row("b", "text", None, [("human", "x"), ("gpt", "")])]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    columns = read_metadata(tmp_path / "rows.jsonl")
    assert {name: column.tolist() for name, column in columns.items()} == {
        "source": ["coco", "text"],
        "length": [24, 1],
        "turns": [4, 2],
        "question_length": [17, 1],
        "answer_length": [7, 0],
        "has_image": [True, False],
    }
