"""``method.yaml``: which published method a policy instantiates, step by step."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from curation_plugins.config import Frozen
from curation_plugins.gating import GateView
from curation_plugins.methods.card import MethodCard
from curation_plugins.methods.library import MethodLibrary
from curation_plugins.policies.code import PolicyCode
from curation_plugins.scaffolds import code_gate, evidence
from curation_plugins.scaffolds.evidence import Quoted, Sentence
from curation_plugins.scaffolds.written import Draft, Written

MAX_CARDS: Final = 3
STEPS_A_FUNCTION: Final = 2

CardName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
FunctionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]+\.py:[^\s:]+$", max_length=300)]


class StepDone(Frozen):
    """What became of one step of a card."""

    card: CardName
    step: Annotated[str, StringConstraints(pattern=r"^s[1-9][0-9]?$")]
    function: FunctionName | None = None
    """``file.py:qualified.name`` of the policy's function that does it."""
    left_out: Sentence | None = None
    """Why nothing of the policy does it."""

    @model_validator(mode="after")
    def _one_of_two(self) -> StepDone:
        if (self.function is None) == (self.left_out is None):
            raise ValueError("give function or left_out, one of them")
        return self

    @property
    def named(self) -> tuple[str, str] | None:
        """(file, qualified name)."""
        if self.function is None:
            return None
        file, _, qualname = self.function.partition(":")
        return file, qualname


class MethodFile(Frozen):
    """The file as it is written."""

    failure: Sentence
    """What goes wrong in the last scores; before there are any, what is wrong in the pool."""
    evidence: tuple[Quoted, ...] = Field(max_length=50)
    """Scores it rests on; empty before the first score."""
    cards: tuple[CardName, ...] = Field(min_length=1, max_length=MAX_CARDS)
    """Ids of the method cards."""
    steps: tuple[StepDone, ...] = Field(min_length=1, max_length=60)
    """Every step of every card."""
    adapted: Sentence
    """What differs from the card, and why."""


_STAND_IN: Final = "stands here for what could not be read"

METHOD: Final = Written(
    "method.yaml",
    "method",
    MethodFile,
    {
        "failure": _STAND_IN,
        "evidence": [],
        "cards": ["no-card"],
        "steps": [{"card": "no-card", "step": "s1", "left_out": _STAND_IN}],
        "adapted": _STAND_IN,
    },
)


def check(view: GateView, library: MethodLibrary, code: PolicyCode | None, draft: Draft[MethodFile]) -> None:
    """Add every problem of ``method.yaml`` to the draft; of one that is read in part, those of its other keys."""
    written = draft.readable
    if written is None:
        return
    if "evidence" not in draft.unread:
        evidence.check(view, written.evidence, draft)
    _said_before(view, draft, written)
    cards = {} if "cards" in draft.unread else _cards(view, library, draft, written)
    if not draft.unread & {"cards", "steps"}:
        _steps(draft, written, cards)
    if code is None:
        return
    places = [place for place, step in enumerate(written.steps) if step.named is not None]
    names = [named for step in written.steps if (named := step.named) is not None]
    for place, rule, message in code_gate.named_functions(view, code, names):
        draft.problems.append(draft.problem(rule, ("steps", places[place], "function"), message))


def _said_before(view: GateView, draft: Draft[MethodFile], written: MethodFile) -> None:
    for earlier in view.earlier:
        before = METHOD.read(earlier.policy).value if earlier.outcome == "accepted" else None
        if before is None:
            continue
        for key in ("failure", "adapted"):
            if getattr(before, key) == getattr(written, key):
                draft.add("copied", (key,), f"{key} is word for word that of attempt {earlier.n}")


def _cards(
    view: GateView, library: MethodLibrary, draft: Draft[MethodFile], written: MethodFile
) -> dict[str, MethodCard]:
    """The cards that exist, by id."""
    cards = {}
    for place, name in enumerate(written.cards):
        if name in written.cards[:place]:
            draft.problems.append(draft.problem("card-twice", ("cards", place), f"card {name} is named twice"))
            continue
        card = library.get(name)
        if card is None:
            said = f"there is no card {name!r}; `curate methods --search TEXT` finds cards"
            draft.problems.append(draft.problem("card-unknown", ("cards", place), said))
            continue
        cards[name] = card
        if name not in view.cards_read:
            said = f"card {name} was not read in this run; `curate methods {name}` shows it"
            draft.problems.append(draft.problem("card-unread", ("cards", place), said))
    return cards


def _steps(draft: Draft[MethodFile], written: MethodFile, cards: dict[str, MethodCard]) -> None:
    given = [(step.card, step.step) for step in written.steps]
    wanted = {(name, step.id) for name, card in cards.items() for step in card.procedure}
    for place, pair in enumerate(given):
        at = ("steps", place)
        if pair in given[:place]:
            draft.problems.append(draft.problem("step-twice", at, f"step {pair[1]} of {pair[0]} stands twice"))
        elif pair[0] in cards and pair not in wanted:
            draft.problems.append(draft.problem("step-unknown", at, f"card {pair[0]} has no step {pair[1]}"))
        elif pair[0] not in written.cards:
            said = f"{pair[0]} is not among the cards of this file"
            draft.problems.append(draft.problem("step-unknown", at, said))
    for name, card in cards.items():
        ids = [step.id for step in card.procedure]
        missing = [step for step in ids if (name, step) not in given]
        if missing:
            said = f"nothing is said of {', '.join(missing)} of {name}: each step needs function or left_out"
            draft.problems.append(draft.problem("step-missing", ("steps",), said))
        done = sum(step.card == name and step.function is not None and step.step in ids for step in written.steps)
        if not missing and 2 * done < len(ids):
            said = f"{done} of {len(ids)} steps of {name} are done by a function; at least half are needed"
            draft.problems.append(draft.problem("step-too-few", ("steps",), said))
    uses = Counter(step.function for step in written.steps if step.function is not None)
    for place, step in enumerate(written.steps):
        if step.function is not None and uses.pop(step.function, 0) > STEPS_A_FUNCTION:
            said = f"{step.function} stands for more than {STEPS_A_FUNCTION} steps"
            draft.problems.append(draft.problem("step-function-shared", ("steps", place, "function"), said))
