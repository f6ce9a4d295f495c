"""Pool rows in the shape of LLaVA's instruction-tuning file, and the message list a chat template takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation_plugins.errors import AssetsInvalid

IMAGE_MARK = "<image>"
"""Stands in the first human turn of a row that has an image."""
IMAGES = "images/"
"""How every image path of a pool begins; the rest of it is the path in the data set the row came from."""


class Turn(BaseModel):
    """One side's words. (`from` is a Python keyword, hence the alias.)"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speaker: Literal["human", "gpt"] = Field(alias="from")
    """Who speaks."""
    value: str
    """What is said; the first human turn of a row with an image holds `<image>`."""


class Row(BaseModel):
    """One training row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """A label, and no key: the 665,298 rows of LLaVA-665K have 389,722 different ones. A row's key is its position in
    the file, and its content hash."""
    source: str = ""
    """Name of the data set the row came from."""
    image: str | None = None
    """Path below the pool folder; none for a row of text only."""
    conversations: tuple[Turn, ...] = Field(min_length=2)
    """Human and gpt turns in turn, human first."""
    withheld: str | None = None
    """Content hash of a row whose content is not shown, for it holds a benchmark's item; nobody may choose it."""

    def content_hash(self) -> str:
        """SHA-256 of what the row says and shows, in hex: with its position, the row's key."""
        if self.withheld is not None:
            return self.withheld
        image = None if self.image is None else self.image.removeprefix(IMAGES)
        return _hash(image, [(turn.speaker, turn.value) for turn in self.conversations])

    def without_mark(self) -> list[Turn]:
        """The turns without the image's mark."""
        return [
            turn.model_copy(update={"value": turn.value.replace(IMAGE_MARK, "").strip()})
            for turn in self.conversations
        ]

    @property
    def asks(self) -> bool:
        """Whether anything is asked; a row of answers only has no messages, and its image is shown to nobody."""
        return self._first_question < len(self.conversations)

    @property
    def _first_question(self) -> int:
        speakers = [turn.speaker for turn in self.conversations]
        return speakers.index("human") if "human" in speakers else len(speakers)

    def messages(self) -> list[dict[str, Any]]:
        """The turns as the message list of a chat template.

        As in LLaVA's loader, `<image>` is taken out of its turn and put at that turn's front. A row without an
        image gets no image tokens at all; a stray `<image>` in its text is dropped. What comes before the first
        question answers nothing and is left out, as there too (llava/train/train.py, `preprocess_v1`).
        """
        out: list[dict[str, Any]] = []
        pending = self.image is not None
        for turn in self.conversations[self._first_question :]:
            text = turn.value.replace(IMAGE_MARK, "").strip()
            content: list[dict[str, str]] = [{"type": "text", "text": text}]
            if pending and turn.speaker == "human":
                content.insert(0, {"type": "image"})
                pending = False
            role = "user" if turn.speaker == "human" else "assistant"
            out.append({"role": role, "content": content})
        return out


def content_hash_of_record(record: Mapping[str, Any]) -> str:
    """``Row.content_hash`` of a record as the published JSON files have it.

    Raises:
        KeyError: it has no conversations.
    """
    return _hash(record.get("image"), [(turn["from"], turn["value"]) for turn in record["conversations"]])


def _hash(image: str | None, turns: Iterable[tuple[str, str]]) -> str:
    canonical = json.dumps([image, [list(turn) for turn in turns]], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSONL file in order, one at a time.

    Raises:
        AssetsInvalid: a line is not a row (file, line number and what is wrong with it).
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Row.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise AssetsInvalid(
                    f"{path}, line {number}: {where}: {first['msg']}",
                    hint="The pool was changed or damaged; make it again.",
                ) from None


class RowFile(Sequence[Row]):
    """The rows of a JSONL file by position; keeps where each line begins, not the lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = [0]
        with path.open("rb") as lines:
            for line in lines:
                self._starts.append(self._starts[-1] + len(line))

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        with self._path.open("rb") as file:
            file.seek(self._starts[place])
            return Row.model_validate_json(file.readline())

    def __iter__(self) -> Iterator[Row]:
        return read_rows(self._path)


def dump_row(label: str, source: str, image: str | None, turns: list[tuple[str, str]]) -> str:
    """One line of a pool file, newline included."""
    row = {
        "id": label,
        "source": source,
        "image": image,
        "conversations": [{"from": who, "value": value} for who, value in turns],
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
