"""What is counted for each item of a set, and the set's metrics over any of its items.

Every metric is a mean, or the worst, of ratios of sums over items; the harness adds up the same sums
(``curation_plugins.jobs.ItemUnit``). So what it finds for a half is the metric of the half, and for both halves
together DataComp's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from curation_plugins.jobs import ItemUnit
from curation_plugins.tasks.datacomp.evaluation.sets import EvaluationSet

UNKNOWN: Final = -1
"""Predicted class where the model's output is not a number: right for no item."""

WITHIN: Final = 5
"""So many likeliest classes are looked at."""

ASSOCIATION_LEAST: Final = 10
"""Candidates of the WinoGAViL instances that its main metric counts: those with 10 and 12."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """A model's answers to a classification set."""

    labels: Ints
    """Shape (items,)."""
    predicted: Ints
    """The likeliest class, the first one of equals; ``UNKNOWN`` where there is none. Shape (items,)."""
    within_five: Bools
    """Whether the label is among the five likeliest. Shape (items,)."""
    over: Ints | None = None
    """Group of each item where the metric takes the worst one. Shape (items,)."""
    occurring: Ints | None = None
    """The classes that occur in the whole set; none: those of ``labels``."""

    @classmethod
    def of(cls, labels: Ints, top: Ints, over: Ints | None = None, occurring: Ints | None = None) -> Self:
        """From the likeliest classes, shape (items, 5) or fewer, the likeliest first."""
        return cls(labels, top[:, 0], (top == labels[:, None]).any(axis=1), over, occurring)

    def only(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Answers:
        """The same for some of the items."""
        return Answers(
            self.labels[kept],
            self.predicted[kept],
            self.within_five[kept],
            None if self.over is None else self.over[kept],
            self.classes(),
        )

    def right(self) -> Bools:
        return np.equal(self.labels, self.predicted)

    def classes(self) -> Ints:
        return np.unique(self.labels) if self.occurring is None else self.occurring


def likeliest(logits: NDArray[np.float32]) -> Ints:
    """The five likeliest classes of each item, all where there are fewer, by similarities of shape (items, classes);
    shape (items, 5).

    Of equal classes the lower number comes first. A row with anything but finite numbers answers nothing: it is
    ``UNKNOWN`` throughout.
    """
    order: Ints = np.argsort(-logits, axis=1, kind="stable")[:, :WITHIN].astype(np.int64)
    order[~np.isfinite(logits).all(axis=1)] = UNKNOWN
    return order


def units(entry: EvaluationSet, answers: Answers) -> list[tuple[ItemUnit, ...] | None]:
    """What each item adds to its set's metric, in order; none: its score alone, once.

    * ``acc1``: right or wrong.
    * ``mean_per_class_recall``: the same, by class; the mean is over the classes that occur, as in scikit-learn's
      ``balanced_accuracy_score``.
    * ``F1-macro_all``: 2·TP / (2·TP + FP + FN) by class. The mean is over the classes that occur in the set (WILDS:
      ``labels=unique(y_true)``); in a part of it, over those of them that occur there or were answered there
      (scikit-learn's ``f1_score`` without ``labels``).
    * ``acc_wg``, ``acc_worst_region``: right or wrong, by group; ``acc_top5_wg``: within five or not, by group. The
      worst group is the score. WILDS leaves FMoW's region "Other" out; DataComp's copy has no names of regions, so
      that in DataComp, and here, all of them count.
    """
    right = answers.right()
    match entry.metric:
        case "mean_per_class_recall":
            return [_one(f"class {label}", hit) for label, hit in zip(answers.labels, right, strict=True)]
        case "F1-macro_all":
            known = {int(label) for label in answers.classes()}
            return [_f1(int(t), int(p), known) for t, p in zip(answers.labels, answers.predicted, strict=True)]
        case "acc_wg" | "acc_worst_region" | "acc_top5_wg":
            hits = answers.within_five if entry.metric == "acc_top5_wg" else right
            return [_one(f"{entry.worst_over} {over}", hit) for over, hit in zip(_over(answers), hits, strict=True)]
    return [None] * len(right)


def _one(metric: str, hit: np.bool_) -> tuple[ItemUnit, ...]:
    return (ItemUnit(metric=metric, value=float(hit)),)


def _f1(label: int, predicted: int, known: set[int]) -> tuple[ItemUnit, ...]:
    if label == predicted:
        return (ItemUnit(metric=f"class {label}", value=2.0, base=2.0),)
    missed = (ItemUnit(metric=f"class {label}", value=0.0),)
    return (*missed, ItemUnit(metric=f"class {predicted}", value=0.0)) if predicted in known else missed


def _over(answers: Answers) -> Ints:
    if answers.over is None:
        raise ValueError("a metric over groups needs each item's group")
    return answers.over


def classification(entry: EvaluationSet, answers: Answers, classes: int) -> dict[str, float | None]:
    """A set's metrics as DataComp names them, over these items; ``acc5`` is none below five classes.

    Those besides the main one: eval_utils/wds_eval.py, wilds_eval.py, fairness_eval.py.
    """
    right = answers.right()
    found: dict[str, float | None] = {
        "acc1": float(right.mean()),
        "acc5": float(answers.within_five.mean()) if classes >= 5 else None,
        "mean_per_class_recall": _recall(answers),
    }
    match entry.metric:
        case "F1-macro_all":
            found |= {
                "acc_avg": found["acc1"],
                "recall-macro_all": _recall(answers),
                "F1-macro_all": _macro_f1(answers),
            }
        case "acc_wg" | "acc_worst_region":
            found |= {"acc_avg": found["acc1"], **_by_group(entry, "acc", _over(answers), right)}
        case "acc_top5_wg":
            hits = answers.within_five
            found |= {"acc_top5_avg": float(hits.mean()), **_by_group(entry, "acc_top5", _over(answers), hits)}
    return found


def _recall(answers: Answers) -> float:
    right = answers.right()
    return float(np.mean([right[answers.labels == label].mean() for label in np.unique(answers.labels)]))


def _macro_f1(answers: Answers) -> float:
    each = list[float]()
    for label in answers.classes():
        true, told = answers.labels == label, answers.predicted == label
        total = int(true.sum() + told.sum())
        if total:
            each.append(2 * int((true & told).sum()) / total)
    return float(np.mean(each))


def _by_group(entry: EvaluationSet, name: str, over: Ints, hits: Bools) -> dict[str, float]:
    means = {int(group): float(hits[over == group].mean()) for group in np.unique(over)}
    worst = f"{name}_worst_region" if entry.metric == "acc_worst_region" else f"{name}_wg"
    return {f"{name}_{entry.worst_over}:{group}": mean for group, mean in means.items()} | {
        worst: min(means.values())
    }


@dataclass(frozen=True)
class Matches:
    """A model's answers to a retrieval set. All its images and captions are candidates, whichever half asks."""

    text_found: Bools
    """Whether an image's nearest caption is one of its own. Shape (images,)."""
    images_found: Ints
    """How many of an image's captions have it as their nearest image. Shape (images,)."""
    captions: Ints
    """How many captions an image has. Shape (images,)."""

    @classmethod
    def of(cls, caption: Ints, image: Ints, owner: Ints) -> Self:
        """From each image's nearest caption and each caption's nearest image, see ``nearest``.

        Args:
            owner: image of each caption, shape (captions,), ascending.
        """
        images = len(caption)
        text_found = np.asarray((caption != UNKNOWN) & (owner[caption] == np.arange(images)))
        found = np.bincount(owner, image == owner, minlength=images).astype(np.int64)
        return cls(text_found, found, np.bincount(owner, minlength=images))

    def units(self) -> list[tuple[ItemUnit, ...]]:
        """What each image, with its captions, adds to the two recalls."""
        rows = zip(self.text_found, self.images_found, self.captions, strict=True)
        return [
            (
                ItemUnit(metric="text_retrieval_recall@1", value=float(text)),
                ItemUnit(metric="image_retrieval_recall@1", value=float(images), base=float(captions)),
            )
            for text, images, captions in rows
        ]

    def scores(self) -> NDArray[np.float64]:
        """Share of each item that is right: the mean of its two recalls."""
        return np.asarray((self.text_found + self.images_found / self.captions) / 2)

    def reported(self) -> dict[str, float | None]:
        text = float(self.text_found.mean())
        image = float(self.images_found.sum() / self.captions.sum())
        return {
            "image_retrieval_recall@1": image,
            "text_retrieval_recall@1": text,
            "mean_recall@1": (text + image) / 2,
        }


def nearest(texts: NDArray[np.float32], images: NDArray[np.float32], block: int = 1024) -> tuple[Ints, Ints]:
    """(each image's nearest caption, each caption's nearest image) by normalised embeddings of shapes
    (captions, width) and (images, width).

    The first of equally near ones counts as the nearest; an embedding that is not finite is near to nothing:
    ``UNKNOWN``.
    """
    texts_finite: Bools = np.asarray(np.isfinite(texts).all(axis=1))
    images_finite: Bools = np.asarray(np.isfinite(images).all(axis=1))
    shown = np.where(images_finite[:, None], images, 0).astype(np.float32)
    told = np.where(texts_finite[:, None], texts, 0).astype(np.float32)
    image, caption = np.full(len(told), UNKNOWN), np.full(len(shown), UNKNOWN)
    if texts_finite.any() and images_finite.any():
        for start in range(0, len(told), block):
            near = told[start : start + block] @ shown.T
            near[:, ~images_finite] = -np.inf
            image[start : start + block] = near.argmax(axis=1)
        for start in range(0, len(shown), block):
            near = shown[start : start + block] @ told.T
            near[:, ~texts_finite] = -np.inf
            caption[start : start + block] = near.argmax(axis=1)
    image[~texts_finite], caption[~images_finite] = UNKNOWN, UNKNOWN
    return caption, image


def by_likeness(similarity: Sequence[float] | NDArray[np.floating[Any]]) -> list[int]:
    """Places of the candidates, the likeliest first; none where a similarity is not finite. Of equals the later
    candidate comes first, as in DataComp's sort."""
    values = np.asarray(similarity, dtype=np.float64)
    if not np.isfinite(values).all():
        return []
    return [int(place) for place in np.argsort(values, kind="stable")[::-1]]


def jaccard(order: Sequence[int], right: Bools) -> float:
    """|chosen ∩ right| / |chosen ∪ right|, where as many candidates are chosen as are right, the likeliest ones
    (Bitton et al. 2022, arXiv 2207.12576, §4); 0 where none can be.

    Args:
        order: see ``by_likeness``.
    """
    chosen = np.zeros(len(right), dtype=bool)
    chosen[list(order)[: int(right.sum())]] = True
    return float((chosen & right).sum() / (chosen | right).sum())


def associations(scores: NDArray[np.float64], candidates: Ints) -> dict[str, float | None]:
    """WinoGAViL's means by number of candidates (eval_utils/wino_eval.py); none where no instance has so many."""
    parts: Mapping[str, Bools] = {
        "avg_jaccard_score": candidates > 0,
        **{f"jaccard_score_{count}": candidates == count for count in (5, 6, 10, 12)},
        "jaccard_score_5-6": candidates <= 6,
        "jaccard_score_10-12": candidates >= ASSOCIATION_LEAST,
    }
    return {name: float(scores[part].mean()) if part.any() else None for name, part in parts.items()}
