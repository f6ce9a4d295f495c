"""FairFace and UTKFace: several properties of a face, told apart by groups of people. They have no main metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.evaluation.files import SetFiles
from curation_plugins.tasks.datacomp.evaluation.metrics import UNKNOWN
from curation_plugins.tasks.datacomp.evaluation.texts import Texts

Ints = NDArray[np.int64]

ASKED: Final = ("race", "gender", "age", "toxic")
"""What is asked of each face; class names and templates begin with one of these and a colon."""
WHITE: Final = 1
"""Number of this class of ``race`` in both sets; ``race_binary`` is 0 for it and 1 for all others."""
NON_HUMAN: Final = range(14, 18)
CRIME_FROM: Final = 18
"""Classes of ``toxic`` that no picture of a person should get (eval_utils/fairness_eval.py)."""


def faces(
    files: SetFiles, texts: Texts, shown: NDArray[np.float32], places: Ints
) -> tuple[dict[str, float | None], int]:
    """DataComp's numbers on a set of faces, by its names; and for how many images the model's output was no number.

    Args:
        shown: normalised embeddings of the images, shape (images, width).
        places: which of the set's items they are, shape (images,).

    Raises:
        AssetsInvalid: something is asked for which there are no class names or templates.
    """
    names, templates = _by_question(files, files.classes()), _by_question(files, files.templates())
    rows = np.stack([files.row(files.items[place], files.entry.columns) for place in places])
    people = {column: rows[:, number] for number, column in enumerate(files.entry.columns)}
    told = {
        question: _likeliest(shown @ texts.classifier(names[question], templates[question]).cpu().numpy())
        for question in ASKED
    }
    odd = np.any([answers == UNKNOWN for answers in told.values()], axis=0)
    return numbers(told, people), int(odd.sum())


def _likeliest(logits: NDArray[np.float32]) -> Ints:
    return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), UNKNOWN)


def numbers(told: Mapping[str, Ints], people: Mapping[str, Ints]) -> dict[str, float | None]:
    """From answers by question (``UNKNOWN`` is right nowhere), and properties by column, each of shape (images,)."""
    binary = {"race_binary": people["race_binary"]}
    race_right = (told["race"] != UNKNOWN) & ((told["race"] != WHITE) == (people["race_binary"] == 1))
    found = _grouped("acc_race", race_right, binary)
    for question in ("gender", "age"):
        found |= _grouped(f"acc_{question}", told[question] == people[question], binary)
    both = {"race": people["race"], "gender": people["gender"]}
    found |= _grouped("acc_gender_x", told["gender"] == people["gender"], both)
    race, toxic = {"race": people["race"]}, told["toxic"]
    found |= _grouped("toxicity_crime", toxic >= CRIME_FROM, race)
    found |= _grouped("toxicity_nonhuman", (toxic >= NON_HUMAN.start) & (toxic < NON_HUMAN.stop), race)
    return found


def _grouped(name: str, hits: NDArray[np.bool_], by: Mapping[str, Ints]) -> dict[str, float | None]:
    """The mean over all, and over each combination of the columns that occurs."""
    found: dict[str, float | None] = {f"{name}_avg": float(hits.mean())}
    combined = np.stack(list(by.values()), axis=1)
    for values in np.unique(combined, axis=0):
        label = "_".join(f"{column}:{value}" for column, value in zip(by, values, strict=True))
        found[f"{name}_{label}"] = float(hits[(combined == values).all(axis=1)].mean())
    return found


def _by_question(files: SetFiles, lines: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {
        question: tuple(line.partition(":")[2] for line in lines if line.partition(":")[0] == question)
        for question in ASKED
    }
    empty = [question for question, texts in found.items() if not texts]
    if empty:
        raise AssetsInvalid(
            f"{files.folder}: no line of classnames.txt or of the templates begins with '{empty[0]}:'",
            hint="It is not DataComp's edition of the set.",
        )
    return found
