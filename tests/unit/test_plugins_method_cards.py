"""The method cards that ship, and the library that finds them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from curation_plugins.errors import ConfigInvalid
from curation_plugins.methods.card import FAMILIES, SIGNALS, MethodCard
from curation_plugins.methods.library import CARDS, MethodLibrary, read_card

SHIPPED: Final = MethodLibrary()
IDS: Final = sorted(path.stem for path in CARDS.glob("*.yaml"))

EXPECTED: Final = (
    *(
        "random",
        "clip-score-filter",
        "el2n",
        "grand",
        "forgetting",
        "aum",
        "perplexity-pruning",
        "d2-pruning",
        "k-center",
    ),
    *(
        "semdedup",
        "typiclust",
        "coincide",
        "icons",
        "less",
        "ards",
        "tive",
        "self-filter",
        "dsir",
        "doremi",
        "t-mars",
    ),
    *(
        "data-filtering-networks",
        "mlm-filter",
        "negcliploss-normsim",
        "image-based-filter",
        "text-based-filter",
        "template-matters",
    ),
    *("coido", "prism", "mmssr", "datatailor", "ofa"),
)
"""Methods that studies of LLaVA-1.5 selection and of DataComp's filtering track compare."""

EVALUATION_SETS: Final = (
    *("MMBench", "MMStar", "MMMU", "MathVista", "MM-Vet", "MMVet", "LLaVABench", "LLaVA-Bench", "OCRBench", "MME"),
    *("HallusionBench", "POPE", "SEED-Bench", "ScienceQA", "VQAv2", "GQA", "TextVQA", "VizWiz", "DocVQA", "ChartQA"),
    *("AI2D", "BLINK", "MMLU", "GSM8K", "MATH-500", "HumanEval", "ARC-Challenge", "HellaSwag", "TruthfulQA", "VTAB"),
    *("Flickr30k", "COCO Captions", "WinoGAViL", "iWildCam", "FairFace", "GeoDE", "BIG-bench", "SciBench"),
)


def subject(card: MethodCard) -> str:
    return f"{card.id} | {card.title} | {card.summary}"


# -- the cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("card_id", IDS)
def test_a_card_is_valid_and_says_enough(card_id: str) -> None:
    card = read_card(CARDS / f"{card_id}.yaml")
    assert sum(len(step.step) for step in card.procedure) > 250, "too short to be implemented from"
    assert card.source.title_matched
    if card.arxiv is not None:
        assert card.source.url == f"https://arxiv.org/abs/{card.arxiv}"
        assert card.year >= 2000 + int(card.arxiv[:2]), "the year is that of the first version"


def test_there_are_enough_cards_of_every_family() -> None:
    assert len(SHIPPED.cards) >= 60
    for family in FAMILIES:
        assert len(SHIPPED.find(family=family)) >= 5, family


def test_related_cards_exist() -> None:
    missing = {(card.id, other) for card in SHIPPED.cards.values() for other in card.related} - {
        (card.id, other) for card in SHIPPED.cards.values() for other in SHIPPED.cards
    }
    assert missing == set()


def test_a_paper_has_one_title_on_all_its_cards() -> None:
    titles: dict[str, set[str]] = {}
    for card in SHIPPED.cards.values():
        titles.setdefault(card.source.url, set()).add(card.title)
    assert {url: found for url, found in titles.items() if len(found) > 1} == {}


def test_a_title_belongs_to_one_paper() -> None:
    papers: dict[str, set[str]] = {}
    for card in SHIPPED.cards.values():
        papers.setdefault(card.title.casefold(), set()).add(card.source.url)
    assert {title: found for title, found in papers.items() if len(found) > 1} == {}


@pytest.mark.parametrize("method", EXPECTED)
def test_the_methods_that_studies_compare_are_there(method: str) -> None:
    assert SHIPPED.get(method) is not None


def test_no_card_describes_an_evaluation_set() -> None:
    named = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, EVALUATION_SETS))})(?![\w-])", re.IGNORECASE)
    about = {card.id: found[0] for card in SHIPPED.cards.values() if (found := named.search(subject(card)))}
    about |= {card.id: card.title for card in SHIPPED.cards.values() if re.search(r"\bbenchmark", card.title, re.I)}
    assert about == {}


def test_every_signal_is_read_by_some_method() -> None:
    read = {signal for card in SHIPPED.cards.values() for signal in card.signals}
    assert set(SIGNALS) - read == set()


# -- the library ---------------------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    library = MethodLibrary(tmp_path)
    write(tmp_path, "late")
    assert list(library.cards) == ["late"]


def test_cards_are_found_by_id_family_and_words() -> None:
    assert SHIPPED.get("semdedup") is SHIPPED.cards["semdedup"]
    assert SHIPPED.get("no-such-card") is None
    assert {card.family for card in SHIPPED.find(family="mixture")} == {"mixture"}
    assert [card.id for card in SHIPPED.find(search="2406.10995")] == ["coincide"]
    found = SHIPPED.find(family="selection", search="DUPLICATE cosine")
    assert found
    for card in found:
        assert card.family == "selection"
        assert "duplicate" in str(card.model_dump()).casefold()
    assert SHIPPED.find(search="no-text-has-this-word") == []
    assert SHIPPED.find(family="no-such-family") == []
    assert [card.id for card in SHIPPED.find()] == IDS


def test_a_hit_in_the_title_comes_before_one_in_the_steps(tmp_path: Path) -> None:
    write(tmp_path, "a-steps", procedure=[{"id": "s1", "step": "use herding"}, {"id": "s2", "step": "done"}])
    write(tmp_path, "b-title", title="Herding")
    write(tmp_path, "c-nothing")
    assert [card.id for card in MethodLibrary(tmp_path).find(search="herding")] == ["b-title", "a-steps"]


def test_a_library_of_some_families_shows_only_those(tmp_path: Path) -> None:
    write(tmp_path, "mixed", family="mixture")
    write(tmp_path, "chosen")
    library = MethodLibrary(tmp_path, families=["mixture"])
    assert list(library.cards) == ["mixed"]
    assert library.get("chosen") is None
    assert library.digest() != MethodLibrary(tmp_path).digest()


def test_the_digest_is_over_bytes_and_ids(tmp_path: Path) -> None:
    path = write(tmp_path, "one")
    first = MethodLibrary(tmp_path).digest()
    assert first == MethodLibrary(tmp_path).digest()
    path.write_text(path.read_text() + "# nothing but a comment\n")
    second = MethodLibrary(tmp_path).digest()
    write(tmp_path, "two")
    assert len({first, second, MethodLibrary(tmp_path).digest()}) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"arxiv": None}, "one of arxiv, doi and published"),
        ({"doi": "10.1000/1"}, "one of arxiv, doi and published"),
        ({"family": "magic"}, "family"),
        ({"signals": ["none", "text"]}, "none stands alone"),
        ({"signals": ["telepathy"]}, "signals"),
        ({"signals": ["text", "text"]}, "named twice"),
        ({"needs_target": True}, "target-rows"),
        ({"procedure": [{"id": "s1", "step": "one"}, {"id": "s3", "step": "three"}]}, "in order"),
        ({"procedure": [{"id": "s1", "step": "only one"}]}, "procedure"),
        ({"related": ["odd"]}, "not related to itself"),
        ({"notes": "of no field"}, "notes"),
        ({"id": "other"}, "Name the file"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_wrong_card_is_refused_by_file_and_fault(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = write(tmp_path, "odd", **change)
    with pytest.raises(ConfigInvalid) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert told in f"{caught.value} {caught.value.hint}"


def test_every_fault_of_a_card_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "odd", family="magic", year="soon", cost="")
    with pytest.raises(ConfigInvalid, match=r"(?s)year.*family.*cost"):
        read_card(path)


@pytest.mark.parametrize(
    "content",
    [b"id: [", b"\xff\xfe\x00", b"", b"- a list\n", b"id: " + b"x" * 70_000],
    ids=["no-yaml", "no-utf8", "empty", "list", "too-large"],
)
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"odd\.yaml"):
        _ = MethodLibrary(tmp_path).cards


def test_importing_the_library_loads_no_card_and_nothing_heavy() -> None:
    code = (
        "import sys, json, pathlib\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "import curation_plugins.methods.library\n"
        "print(json.dumps([[p for p in opened if '/cards/' in p], sorted(sys.modules)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cards, modules = json.loads(done.stdout)
    assert cards == []
    assert {"torch", "numpy", "fastapi", "docker"}.isdisjoint(modules)


# -- made cards ----------------------------------------------------------------------------------------


def write(folder: Path, card_id: str, **changes: Any) -> Path:
    """A valid card but for ``changes``; a key changed to None is left out."""
    card: dict[str, Any] = {
        "id": card_id,
        "title": f"On {card_id}",
        "authors": ["A. Author"],
        "year": 2020,
        "arxiv": "2001.00001",
        "family": "selection",
        "summary": "One sentence about what it does.",
        "signals": ["text"],
        "needs_target": False,
        "procedure": [{"id": "s1", "step": "first"}, {"id": "s2", "step": "second"}],
        "cost": "none",
        "fails_when": ["always"],
        "image_text_use": "not published",
        "source": {
            "checked": "2026-01-01",
            "url": "https://arxiv.org/abs/2001.00001",
            "how": "made for this test",
            "title_matched": True,
        },
    }
    card = {key: value for key, value in (card | changes).items() if value is not None}
    path = folder / f"{card_id}.yaml"
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return path
