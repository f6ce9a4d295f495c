"""One model on one set: a single pass over its images, and what comes of it for the record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch.nn import functional

from curation_plugins.jobs import ItemResult
from curation_plugins.tasks.datacomp.evaluation import metrics, outcome
from curation_plugins.tasks.datacomp.evaluation.attributes import faces
from curation_plugins.tasks.datacomp.evaluation.files import SetFiles
from curation_plugins.tasks.datacomp.evaluation.pixels import Images, PixelStore, Preprocess
from curation_plugins.tasks.datacomp.evaluation.texts import Model, Texts, cue_prompt


@dataclass(frozen=True)
class SetResult:
    """A model's result on a whole set, both halves."""

    items: tuple[ItemResult, ...]
    """None for a set without a main metric."""
    said: tuple[JsonValue, ...]
    """What the model said to each of the items, see ``outcome``."""
    reported: Mapping[str, float | None]
    """All metrics over all items, by DataComp's names."""
    broken: int = 0
    """Images that cannot be read; their items are left out."""
    not_finite: int = 0
    """Items for which the model's output was no number; they count as wrong."""


@dataclass
class Scorer:
    """Scores one model, set by set."""

    opened: Model
    preprocess: Preprocess
    store: PixelStore
    batch: int
    texts: Texts = field(init=False)
    _tell: Callable[[float], None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.texts = Texts(self.opened, self.store.room(), self.batch)

    def score(self, files: SetFiles, tell: Callable[[float], None] | None = None) -> SetResult:
        """Go through a set.

        Args:
            tell: hears the share done in [0, 1], batch by batch.

        Raises:
            AssetsInvalid: something in the set is damaged; it is named.
        """
        self._tell = tell
        images = Images(np.zeros(len(files.items), "S16"))
        match files.entry.kind:
            case "classification":
                return self._classification(files, images)
            case "retrieval":
                return self._retrieval(files, images)
            case "association":
                return self._association(files, images)
            case "attributes":
                return self._attributes(files, images)

    @torch.inference_mode()
    def _embedded(self, files: SetFiles, images: Images) -> Iterator[tuple[slice, torch.Tensor]]:
        """(which images, their normalised embeddings of shape (k, width)) in order."""
        for where, pixels in self.store.batches(files, self.preprocess, self.batch, images):
            inputs = self.preprocess.floats(pixels, self.opened.device)
            yield where, functional.normalize(self.opened.model.encode_image(inputs).float(), dim=-1)
            if self._tell is not None:
                self._tell(where.stop / len(files.items))

    def _all_embedded(self, files: SetFiles, images: Images) -> NDArray[np.float32]:
        return np.concatenate([part.cpu().numpy() for _, part in self._embedded(files, images)])

    def _classification(self, files: SetFiles, images: Images) -> SetResult:
        key = outcome.ClassKey.of(files)
        weights = self.texts.classifier(key.names, files.templates())
        top = np.full((len(key.labels), min(metrics.WITHIN, len(key.names))), metrics.UNKNOWN)
        for where, embedded in self._embedded(files, images):
            top[where] = metrics.likeliest((100 * embedded @ weights).cpu().numpy())
        places = np.flatnonzero(images.readable)
        answers = key.answers(places, top[places])
        return SetResult(
            key.items(places, top[places], outcome.groups_of(files, images.groups, key.columns)),
            tuple(outcome.classes_said(top[places])),
            metrics.classification(files.entry, answers, len(key.names)),
            broken=len(key.labels) - len(places),
            not_finite=int((answers.predicted == metrics.UNKNOWN).sum()),
        )

    def _retrieval(self, files: SetFiles, images: Images) -> SetResult:
        captions = [files.captions(item) for item in files.items]
        shown = self._all_embedded(files, images)
        known = np.flatnonzero(images.readable)  # the others, with their captions, are no candidates
        owner = np.repeat(np.arange(len(known)), [len(captions[place]) for place in known])
        asked = list(itertools.chain.from_iterable(captions[place] for place in known))
        told = self.texts.embed(asked).cpu().numpy()
        caption, image = metrics.nearest(told, shown[known])
        found = metrics.Matches.of(caption, image, owner)
        names = [files.items[place].name for place in known]
        odd = ~np.isfinite(shown[known]).all(axis=1)
        odd |= np.bincount(owner, ~np.isfinite(told).all(axis=1), minlength=len(known)) > 0
        return SetResult(
            outcome.matched(files, known.tolist(), found, outcome.groups_of(files, images.groups, {})),
            tuple(outcome.matches_said(names, caption, image, owner)),
            found.reported(),
            broken=len(files.items) - len(known),
            not_finite=int(odd.sum()),
        )

    def _association(self, files: SetFiles, images: Images) -> SetResult:
        """WinoGAViL. Instances with an image that cannot be read are left out."""
        shown = self._all_embedded(files, images)
        place = {item.sample.key: number for number, item in enumerate(files.items)}
        asked = [files.instance(instance) for instance in files.instances]
        told = self.texts.embed([cue_prompt(cue) for cue, _, _ in asked]).cpu().numpy()
        items, said = list[ItemResult](), list[JsonValue]()
        scores, counts = list[float](), list[int]()
        left_out = odd = 0
        for instance, text, (_, candidates, right) in zip(files.instances, told, asked, strict=True):
            unknown = [key for key in candidates if key not in place]
            if unknown:
                raise files.wrong(instance, f"names {unknown[0][:60]!r}, and no image is called so")
            places = [place[key] for key in candidates]
            if not images.readable[places].all():
                left_out += 1
                continue
            order = metrics.by_likeness(shown[places] @ text)
            odd += not order
            score = metrics.jaccard(order, np.array([key in right for key in candidates]))
            scores.append(score)
            counts.append(len(candidates))
            if len(candidates) >= metrics.ASSOCIATION_LEAST:
                items.append(outcome.associated(files, instance, score))
                said.append([candidates[choice] for choice in order])
        reported = metrics.associations(np.array(scores), np.array(counts, np.int64))
        return SetResult(tuple(items), tuple(said), reported, broken=left_out, not_finite=odd)

    def _attributes(self, files: SetFiles, images: Images) -> SetResult:
        shown = self._all_embedded(files, images)
        known = images.readable
        reported, odd = faces(files, self.texts, shown[known], np.flatnonzero(known))
        return SetResult((), (), reported, broken=int((~known).sum()), not_finite=odd)
