"""Shows the agent the method cards of its scaffold, and logs what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation_harness.desk.earlier import CARD_READ, cards_read
from curation_harness.record.store import RunRecord
from curation_plugins.api import Scaffold
from curation_plugins.methods.library import MethodLibrary
from curation_sandbox.protocol import MethodLine, MethodList, MethodView
from curation_sandbox.submit_server import HandlerError

LOGGED: Final = 1000
"""Listings, and readings, of a run that are logged one by one; beyond them only a card's first reading is: a loop
tells nobody anything, and every event is a write to disk."""


@dataclass(frozen=True)
class MethodsDesk:
    """Answers ``curate methods`` for one run."""

    record: RunRecord
    scaffold: Scaffold

    def listed(self, family: str | None, search: str | None) -> MethodList:
        """Cards, one line each.

        Raises:
            HandlerError: the scaffold has no cards, or none are of such a family.
        """
        library = self._library()
        families = tuple(sorted({card.family for card in library.cards.values()}))
        if family is not None and family not in families:
            raise HandlerError(
                404, "not-found", f"no family {family[:40]!r}; there are cards of: {', '.join(families)}"
            )
        found = library.find(family=family, search=search)
        if len(self.record.events.of("methods-listed")) < LOGGED:
            self.record.events.append("methods-listed", family=family, search=search, count=len(found))
        lines = (MethodLine(id=c.id, title=c.title, family=c.family, summary=c.summary) for c in found)
        return MethodList(methods=tuple(lines), families=families)

    def read(self, id: str) -> MethodView:
        """One card, logged before it is shown.

        Raises:
            HandlerError: there is no such card, or the scaffold has none at all.
        """
        card = self._library().get(id)
        if card is None:
            raise HandlerError(404, "not-found", f"there is no method card {id[:80]!r}; `curate methods` lists them")
        if len(self.record.events.of(CARD_READ)) < LOGGED or id not in cards_read(self.record):
            self.record.events.append(CARD_READ, id=id, attempts=len(self.record.events.of("accepted")))
        return MethodView(id=id, card=card.model_dump(mode="json"))

    def count(self) -> int:
        """How many cards there are."""
        library = self.scaffold.cards()
        return 0 if library is None else len(library.cards)

    def _library(self) -> MethodLibrary:
        library = self.scaffold.cards()
        if library is None:
            message = f"this run has no method cards (scaffold {self.scaffold.name}); work from what you know"
            raise HandlerError(404, "not-found", message)
        return library
