"""A half's items scored again, from what the model said and from the sets' files. No model, no torch.

Everything that is not the model's is read anew: labels, columns, which images are equal and so in which half. An item
may lack what was said to it only where its image cannot be read.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue

from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult, Prediction, Split, read_predictions
from curation_plugins.picture_hashes import UNREADABLE
from curation_plugins.tasks.datacomp.evaluation import metrics, outcome
from curation_plugins.tasks.datacomp.evaluation.files import Item, SetFiles, open_set
from curation_plugins.tasks.datacomp.evaluation.halves import half
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation

Ints = NDArray[np.int64]


def rescore(path: Path, split: Split, settings: Evaluation, folder: Path) -> Iterator[ItemResult]:
    """Item results as the evaluator wrote them, set by set.

    Args:
        path: what it wrote as predictions; it may have been changed since.
        folder: holds all sets.

    Raises:
        WorkerReplyInvalid: the file is not of this form, or not of the half's items.
        AssetsInvalid: a set is missing or damaged.
    """
    keys = [key for key in settings.benchmarks if split == "sealed" or key not in settings.sealed_sets]
    blocks = itertools.groupby(read_predictions(path), key=lambda one: one.benchmark)
    for key, block in itertools.zip_longest(keys, blocks):
        found = block[0] if block is not None else None
        if found != key:
            raise WorkerReplyInvalid(f"{path.name}: predictions for {found}, where {key} was to come")
        yield from _set(folder, key).rescored([*block[1]], split, settings)


@lru_cache(maxsize=64)
def _set(folder: Path, key: str) -> _Set:
    """Looked through once for all of a run's attempts: the task's files do not change."""
    return _Set(open_set(folder, look_up(key)))


@dataclass(frozen=True)
class _Set:
    files: SetFiles

    def rescored(self, said: Sequence[Prediction], split: Split, settings: Evaluation) -> Sequence[ItemResult]:
        key = self.files.entry.key
        wanted = [place for place, group in enumerate(self.groups) if half(group, settings, key) == split]
        places = self._places(said)
        strange = sorted(set(places) - set(wanted))
        if strange:
            raise WorkerReplyInvalid(f"{key}: item {self.asked[strange[0]].name} is not one of the {split} half")
        for place in sorted(set(wanted) - set(places)):
            if self._readable(place):
                raise WorkerReplyInvalid(f"{key}: nothing is said to the {split} item {self.asked[place].name}")
        answers = [one.answer for one in said]
        match self.files.entry.kind:
            case "classification":
                return self._classified(places, answers)
            case "retrieval":
                return self._matched(places, answers)
            case "association":
                return [self._associated(place, answer) for place, answer in zip(places, answers, strict=True)]
        raise WorkerReplyInvalid(f"{key}: it has no items that are scored")

    @cached_property
    def asked(self) -> tuple[Item, ...]:
        """What is asked: images, or the instances that the set's metric counts."""
        if self.files.entry.kind != "association":
            return self.files.items
        least = metrics.ASSOCIATION_LEAST
        return tuple(one for one in self.files.instances if len(self.files.instance(one)[1]) >= least)

    @cached_property
    def groups(self) -> list[str]:
        """Group of each."""
        if self.files.entry.kind == "association":
            return [outcome.associated(self.files, one, 0.0).group for one in self.asked]
        images = np.array([outcome.image_group(self.files.image(item)) for item in self.asked], "S16")
        return outcome.groups_of(self.files, images, outcome.columns_of(self.files))

    @cached_property
    def key(self) -> outcome.ClassKey:
        return outcome.ClassKey.of(self.files)

    @cached_property
    def _by_name(self) -> Mapping[str, int]:
        return {item.name: place for place, item in enumerate(self.asked)}

    def _places(self, said: Sequence[Prediction]) -> list[int]:
        """Raises:
        WorkerReplyInvalid: an item is unknown, comes twice or out of order.
        """
        places = list[int]()
        for one in said:
            place = self._by_name.get(one.item)
            if place is None:
                raise WorkerReplyInvalid(f"{one.benchmark}: there is no item {one.item[:80]!r}")
            if places and place <= places[-1]:
                raise WorkerReplyInvalid(f"{one.benchmark}: item {one.item} comes twice or out of order")
            places.append(place)
        return places

    def _readable(self, place: int) -> bool:
        """Whether an item could have been asked: its image, or each of its candidates', can be read."""
        if self.files.entry.kind != "association":
            return _readable(self.files.image(self.asked[place]))
        images = {item.sample.key: item for item in self.files.items}
        candidates = self.files.instance(self.asked[place])[1]
        return all(_readable(self.files.image(images[key])) for key in candidates)

    def _classified(self, places: Sequence[int], answers: Sequence[JsonValue]) -> Sequence[ItemResult]:
        classes = len(self.key.names)
        count = min(metrics.WITHIN, classes)
        top = np.full((len(places), count), metrics.UNKNOWN)
        for row, answer in enumerate(answers):
            if not isinstance(answer, list) or len(answer) not in (0, count) or not _numbers(answer, classes):
                what = f"{answer!r} is not {count} of {classes} classes"
                raise self._wrong(places[row], what)
            top[row, : len(answer)] = answer
        return self.key.items(np.array(places, np.int64), top, self.groups)

    def _matched(self, places: Sequence[int], answers: Sequence[JsonValue]) -> Sequence[ItemResult]:
        texts, images, captions = list[bool](), list[int](), list[int]()
        for place, answer in zip(places, answers, strict=True):
            name, count = self.asked[place].name, len(self.files.captions(self.asked[place]))
            match answer:
                case {"caption": [str(_), int(_)] | None as caption, "images": [*found]} if len(found) == count:
                    texts.append(caption is not None and caption[0] == name)
                    images.append(found.count(name))
                    captions.append(count)
                case _:
                    raise self._wrong(place, f"{answer!r} does not name its nearest caption and {count} images")
        found_all = metrics.Matches(np.array(texts, bool), np.array(images), np.array(captions))
        return outcome.matched(self.files, places, found_all, self.groups)

    def _associated(self, place: int, answer: JsonValue) -> ItemResult:
        _, candidates, right = self.files.instance(self.asked[place])
        if not isinstance(answer, list) or (answer and sorted(map(str, answer)) != sorted(candidates)):
            raise self._wrong(place, f"{answer!r} is no order of its candidates")
        order = [candidates.index(str(key)) for key in answer]
        score = metrics.jaccard(order, np.array([key in right for key in candidates]))
        return outcome.associated(self.files, self.asked[place], score)

    def _wrong(self, place: int, what: str) -> WorkerReplyInvalid:
        return WorkerReplyInvalid(f"{self.files.entry.key}, item {self.asked[place].name}: {what[:300]}")


def _numbers(answer: Sequence[JsonValue], below: int) -> bool:
    known = all(type(number) is int and 0 <= number < below for number in answer)
    return known and len(set(map(str, answer))) == len(answer)


def _readable(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.convert("RGB")
    except UNREADABLE:
        return False
    return True
