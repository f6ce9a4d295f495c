"""Compares rows with every benchmark item: in one pass over the texts, then over the different pictures."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curation_plugins.picture_hashes import HASH_DISTANCE, Near, PictureIndex
from curation_plugins.tasks.llava.audit.findings import Audit, Finding, summarise
from curation_plugins.tasks.llava.audit.texts import Exchange, Match, TextIndex
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.rows import Row

VERSION = 1
"""Counted up when a rule or threshold changes."""
COMMON = 20
"""An item's question that rows ask about more pictures than this is a way of asking ("What is the person in the red
shirt holding?"), and no longer speaks for a leak by itself; with the item's options or picture it does."""
QUOTED = 400
"""Characters of a text that a finding quotes at most."""
_BATCH = 2048
"""Rows whose texts are compared at a time."""

Progress = Callable[[str, float], None]


def audit_pool(
    rows: Iterable[Row],
    items: Sequence[BenchmarkItem],
    *,
    pool: Path,
    benchmarks: Path,
    total: int = 0,
    progress: Progress | None = None,
    threads: int = 1,
    common: Sequence[str] = (),
    learn_common: bool = True,
) -> Audit:
    """Every row against every item, public or sealed.

    Memory grows with the number of items, of different pictures' paths and of findings, not with the text.

    Args:
        rows: in order; a row's place is its id.
        pool: folder that the rows' pictures lie below.
        benchmarks: folder that the items' pictures lie below.
        total: number of rows, for `progress`.
        threads: that decode pictures.
        common: questions that are known to say nothing (`Audit.common` of the pool's audit).
        learn_common: whether questions that the rows ask about many pictures say nothing, either.

    Raises:
        AssetsInvalid: a benchmark's picture is missing or no image, or a row is damaged.
    """
    tell = progress or _silent
    shown = sorted({image for item in items for image in item.images})
    pictures = PictureIndex([benchmarks / image for image in shown], threads)
    texts = _Texts(TextIndex(items, without=frozenset(common)), COMMON if learn_common else None)
    seen = _Seen()
    for batch in _batches(rows):
        start = seen.rows
        seen.add(batch)
        texts.add(start, batch)
        tell("audit: texts", 0.4 * seen.rows / total if total else 0.0)
    findings = list(texts.findings())
    unreadable: list[int] = []
    paths = [pool / image for image in seen.paths]
    owners = _owners(items)
    for place, found in enumerate(pictures.compare(paths)):
        if isinstance(found, list):
            for near in _first_of_groups(found, shown, owners):
                findings.extend(_picture_findings(near, seen, place, shown, owners))
        else:
            unreadable.extend(seen.rows_of(place))
        tell("audit: pictures", 0.4 + 0.6 * (place + 1) / len(paths))
    return summarise(
        findings,
        tuple(sorted(unreadable)),
        tuple(sorted({*common, *texts.common()})),
        VERSION,
        (seen.rows, len(items), len(paths)),
    )


@dataclass
class _Seen:
    """Which row shows which picture."""

    places: dict[str, int] = field(default_factory=dict)
    of_row: array[int] = field(default_factory=lambda: array("i"))
    """Place of each row's picture; -1 for none."""

    @property
    def rows(self) -> int:
        return len(self.of_row)

    @property
    def paths(self) -> list[str]:
        return list(self.places)

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            none = row.image is None
            self.of_row.append(-1 if none else self.places.setdefault(str(row.image), len(self.places)))

    def rows_of(self, place: int) -> list[int]:
        found: list[int] = np.flatnonzero(np.frombuffer(self.of_row, dtype=np.int32) == place).tolist()
        return found


@dataclass
class _Texts:
    """Matches of texts, without those that turn out to be common."""

    index: TextIndex
    most: int | None
    """Pictures that a question may be about and still say something; none: any number."""
    _matches: dict[int, list[Match]] = field(default_factory=dict)
    _about: dict[int, set[str]] = field(default_factory=dict)

    def add(self, start: int, rows: Sequence[Row]) -> None:
        exchanges = [one for place, row in enumerate(rows) for one in exchanges_of(start + place, row)]
        for match in self.index.compare(exchanges):
            about = self._about.setdefault(match.target, set())
            if self._is_common(match.target):
                self._matches.pop(match.target, None)
                continue
            about.add(match.exchange.about)
            self._matches.setdefault(match.target, []).append(match)

    def _is_common(self, target: int) -> bool:
        many = self.most is not None and len(self._about[target]) > self.most
        return many and self.index.targets[target].kind == "question"

    def common(self) -> Iterator[str]:
        """Questions that are about more pictures than `most`."""
        for target in self._about:
            if self._is_common(target):
                yield " ".join(self.index.targets[target].order)

    def findings(self) -> Iterator[Finding]:
        """The best one for a row and a group of items."""
        best: dict[tuple[int, str, str], Finding] = {}
        for target, matches in self._matches.items():
            if self._is_common(target):
                continue
            for match in matches:
                finding = _text_finding(match)
                key = (finding.row, finding.benchmark, finding.group or finding.item)
                if key not in best or _strength(finding) > _strength(best[key]):
                    best[key] = finding
        yield from best.values()


_ORDER = ("paraphrase", "answer", "question", "question+answer", "question+options")


def _strength(finding: Finding) -> tuple[int, float]:
    return _ORDER.index(finding.rule), finding.score


def exchanges_of(place: int, row: Row) -> Iterator[Exchange]:
    """What the row says, a question and its answer at a time; words without a question or answer, too."""
    human = ""
    for turn in row.conversations:
        if turn.speaker == "human":
            if human:
                yield _exchange(place, row, human, "")
            human = turn.value
        else:
            yield _exchange(place, row, human, turn.value)
            human = ""
    if human:
        yield _exchange(place, row, human, "")


def _exchange(place: int, row: Row, human: str, gpt: str) -> Exchange:
    about = (
        row.image or hashlib.blake2b(f"{human}\0{gpt}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    )
    return Exchange(place, about, human, gpt)


def _text_finding(match: Match) -> Finding:
    exchange, item = match.exchange, match.item
    options = " ".join(f"{letter}. {text}" for letter, text in item.options.items())
    return Finding(
        row=exchange.row,
        rule=match.rule,
        benchmark=item.benchmark,
        item=item.item,
        group=item.group,
        score=round(match.score, 4),
        how=match.how,
        row_says=_quote(f"{exchange.human} → {exchange.gpt}"),
        item_says=_quote(f"{item.question} {options} → {item.answer}"),
    )


def _quote(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= QUOTED else flat[: QUOTED - 1] + "…"


def _owners(items: Sequence[BenchmarkItem]) -> dict[str, BenchmarkItem]:
    """The first item that shows each picture."""
    owners: dict[str, BenchmarkItem] = {}
    for item in items:
        for image in item.images:
            owners.setdefault(image, item)
    return owners


def _first_of_groups(found: Sequence[Near], shown: Sequence[str], owners: dict[str, BenchmarkItem]) -> list[Near]:
    """The nearest of each group of items; `found` is in order of nearness."""
    first: dict[tuple[str, str], Near] = {}
    for near in found:
        owner = owners[shown[near.known]]
        first.setdefault((owner.benchmark, owner.group or owner.item), near)
    return list(first.values())


def _picture_findings(
    near: Near, seen: _Seen, place: int, shown: Sequence[str], owners: dict[str, BenchmarkItem]
) -> Iterator[Finding]:
    image = shown[near.known]
    owner = owners[image]
    for row in seen.rows_of(place):
        yield Finding(
            row=row,
            rule="image",
            benchmark=owner.benchmark,
            item=owner.item,
            group=owner.group,
            score=round(near.correlation, 4),
            how=f"hashes differ in {near.distance} of 64 bits (at most {HASH_DISTANCE})",
            row_says=seen.paths[place],
            item_says=image,
        )


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _silent(what: str, done: float) -> None:
    return None
