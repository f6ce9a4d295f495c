"""What a model said to the items of a set, as it is kept, and the item results that come of it.

Of a classification set the five likeliest classes by number are kept, of a retrieval set the nearest caption of each
image (whose it is, and which of that image's) and the nearest image of each of its captions, of an association set
the candidates in order of likeness. Nothing where the model's output was no number.

The evaluator and ``rescoring`` make items by the functions here, from what the model said now or said then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from curation_plugins.jobs import ItemResult
from curation_plugins.tasks.datacomp.evaluation import metrics
from curation_plugins.tasks.datacomp.evaluation.files import Item, SetFiles

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ClassKey:
    """What is right in a classification set."""

    files: SetFiles
    names: tuple[str, ...]
    labels: Ints
    """Shape (images,)."""
    columns: Mapping[str, Ints]
    """Those that are needed, each of shape (images,)."""

    @classmethod
    def of(cls, files: SetFiles) -> ClassKey:
        """Raises:
        AssetsInvalid: something in the set is damaged.
        """
        names = files.classes()
        labels = np.array([files.label(item, len(names)) for item in files.items], np.int64)
        return cls(files, names, labels, columns_of(files))

    def answers(self, places: Ints, top: Ints) -> metrics.Answers:
        """To the items at these places.

        Args:
            top: the likeliest classes of these, shape (places, 5) or fewer.
        """
        over = self.files.entry.worst_over
        return metrics.Answers.of(
            self.labels[places],
            top,
            None if over is None else self.columns[over][places],
            np.unique(self.labels),  # of the whole set: a half, or an image that cannot be read, takes no class out
        )

    def items(self, places: Ints, top: Ints, groups: Sequence[str]) -> tuple[ItemResult, ...]:
        """Results of the items at these places.

        Args:
            groups: of all of the set's items.
        """
        entry, answers = self.files.entry, self.answers(places, top)
        hits = answers.within_five if entry.metric == "acc_top5_wg" else answers.right()
        rows = zip(places, answers.predicted, hits, metrics.units(entry, answers), strict=True)
        return tuple(
            ItemResult(
                benchmark=entry.key,
                item=self.files.items[place].name,
                group=groups[place],
                score=float(hit),
                prediction=self.names[told] if told != metrics.UNKNOWN else "",
                units=units,
            )
            for place, told, hit, units in rows
        )


def classes_said(top: Ints) -> list[JsonValue]:
    """As kept, an entry an item."""
    return [[] if row[0] == metrics.UNKNOWN else [*row] for row in top.tolist()]


def columns_of(files: SetFiles) -> dict[str, Ints]:
    """The columns that are needed, each of shape (images,)."""
    entry = files.entry
    wanted = [column for column in (entry.worst_over, entry.cluster) if column is not None]
    if not wanted:
        return {}
    rows = np.stack([files.row(item, wanted) for item in files.items])
    return {column: rows[:, number] for number, column in enumerate(wanted)}


def groups_of(files: SetFiles, images: NDArray[np.bytes_], columns: Mapping[str, Ints]) -> list[str]:
    """Name of each image's group: itself, or what the set says belongs together.

    Args:
        images: what names each image's bytes, shape (images,).
    """
    cluster = files.entry.cluster
    if cluster is not None:
        return [f"{files.entry.key} {cluster} {value}" for value in columns[cluster]]
    return [group.decode() for group in images]


def image_group(data: bytes) -> bytes:
    """Names an image file's bytes: the first 16 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16].encode()


def matched(
    files: SetFiles, places: Sequence[int], found: metrics.Matches, groups: Sequence[str]
) -> tuple[ItemResult, ...]:
    """Results of the images at these places of a retrieval set, whose matches ``found`` has in this order.

    Args:
        groups: of all of the set's images.
    """
    return tuple(
        ItemResult(
            benchmark=files.entry.key,
            item=files.items[place].name,
            group=groups[place],
            score=float(score),
            units=units,
        )
        for place, score, units in zip(places, found.scores(), found.units(), strict=True)
    )


def matches_said(names: Sequence[str], caption: Ints, image: Ints, owner: Ints) -> list[JsonValue]:
    """As kept, an entry an image.

    Args:
        names: of the images.
        caption: each image's nearest caption, see ``metrics.nearest``.
        image: each caption's nearest image.
        owner: image of each caption, ascending.
    """
    starts = np.searchsorted(owner, np.arange(len(names) + 1))
    told = [None if place == metrics.UNKNOWN else names[place] for place in image]
    said = list[JsonValue]()
    for number, nearest in enumerate(caption):
        whose = owner[nearest]
        own: JsonValue = None if nearest == metrics.UNKNOWN else [names[whose], int(nearest - starts[whose])]
        said.append({"caption": own, "images": [*told[starts[number] : starts[number + 1]]]})
    return said


def associated(files: SetFiles, instance: Item, score: float) -> ItemResult:
    """Result of an instance of an association set."""
    group = hashlib.sha256(files.read(instance, "json")).hexdigest()[:16]
    return ItemResult(benchmark=files.entry.key, item=instance.name, group=group, score=score)
