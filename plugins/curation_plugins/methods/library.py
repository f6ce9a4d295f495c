"""Finds method cards: by id, by family, by words. Nothing is read before it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml
from pydantic import ValidationError

from curation_plugins.errors import ConfigInvalid
from curation_plugins.methods.card import Family, MethodCard

CARDS: Final = Path(__file__).parent / "cards"
"""The cards that ship."""

_MAX_BYTES: Final = 64 * 1024
"""Of a card; ours have a tenth of it."""


class MethodLibrary:
    """The cards of a folder, one file each, or those of some families among them.

    Raises:
        ConfigInvalid: when first used: a file that is no card (its name and every fault are told).
    """

    def __init__(self, folder: Path = CARDS, families: Collection[Family] | None = None) -> None:
        self._folder = folder
        self._families = None if families is None else frozenset(families)

    @cached_property
    def cards(self) -> Mapping[str, MethodCard]:
        """All of them by id, in the order of ids."""
        found = (read_card(path) for path in sorted(self._folder.glob("*.yaml"), key=lambda path: path.stem))
        wanted = (card for card in found if self._families is None or card.family in self._families)
        return MappingProxyType({card.id: card for card in wanted})

    def get(self, card_id: str) -> MethodCard | None:
        """The card of that id; none: there is none."""
        return self.cards.get(card_id)

    def find(self, family: str | None = None, search: str | None = None) -> Sequence[MethodCard]:
        """Cards of a family (its name) in which every word of ``search`` stands, in any case; those first that have
        all the words in id, title or summary. No family or no words: any."""
        cards = [card for card in self.cards.values() if family is None or card.family == family]
        words = (search or "").casefold().split()
        if not words:
            return cards
        heads = [card for card in cards if _has(words, f"{card.id} {card.title} {card.summary}")]
        rest = [card for card in cards if card not in heads and _has(words, _words_of(card))]
        return [*heads, *rest]

    def digest(self) -> str:
        """SHA-256 (hex) over ids and bytes of the cards, in the order of ids."""
        sha = hashlib.sha256()
        for card_id in self.cards:
            content = (self._folder / f"{card_id}.yaml").read_bytes()
            sha.update(f"{card_id} {len(content)}\n".encode())
            sha.update(content)
        return sha.hexdigest()


def read_card(path: Path) -> MethodCard:
    """A card from its file.

    Raises:
        ConfigInvalid: not YAML, not a card, larger than 64 KiB, or not named like its id.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MAX_BYTES:
            raise ConfigInvalid(f"{path}: a card has at most {_MAX_BYTES} bytes, this {len(content)}")
        card = MethodCard.model_validate(yaml.load(content, Loader=_LOADER))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigInvalid(f"{path}: {error}", hint="Correct the YAML.") from None
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'card'}: {fault['msg']}" for fault in error.errors())
        raise ConfigInvalid(
            f"{path}: " + "; ".join(faults), hint="curation_plugins.methods.card has the fields."
        ) from None
    if card.id != path.stem:
        raise ConfigInvalid(f"{path}: the card's id is {card.id!r}", hint="Name the file like the id.")
    return card


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, if PyYAML was built with it: ten times as fast."""


def _has(words: Sequence[str], text: str) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)


def _words_of(card: MethodCard) -> str:
    parts = [card.id, card.title, card.summary, card.family, card.image_text_use, card.cost, card.arxiv or ""]
    parts += [*card.authors, *card.signals, *card.fails_when, *(step.step for step in card.procedure)]
    parts += [f"{parameter.name} {parameter.meaning}" for parameter in card.parameters]
    return " ".join(parts)
