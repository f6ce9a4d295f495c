"""The audit finds benchmark items in rows, each by the rule that says what it is, and lets honest rows be."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.audit.findings import Audit, Finding, read_findings, read_summary, write_audit
from curation_plugins.tasks.llava.audit.pool import audit_pool
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from made_leaks import GENERIC, World, answer, gold, leak_each, picture, with_options

CHOICE, OPEN, LONG = range(3)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.add_items(60)
    return made


def audit(world: World) -> Audit:
    return audit_pool(world.rows, world.items, pool=world.pool, benchmarks=world.benchmarks)


def only(found: Audit) -> Finding:
    (finding,) = found.findings
    return finding


def item_with(world: World, **changes: object) -> BenchmarkItem:
    changed = world.items[CHOICE].model_copy(update=changes)
    world.items[CHOICE] = changed
    return changed


@pytest.mark.parametrize(
    ("how", "place", "rule", "said"),
    [
        ("option-text", CHOICE, "question+answer", "answered as text"),
        ("letter", CHOICE, "question+options", "4 of 4 options, answered as letter"),
        ("image", OPEN, "image", "bits"),
        ("question", OPEN, "question", "another answer, or none"),
        ("edited", OPEN, "question+answer", "answered as text"),
        ("answer", LONG, "answer", ""),
    ],
)
def test_a_leaked_item_is_found_by_the_rule_that_names_it(
    world: World, how: str, place: int, rule: str, said: str
) -> None:
    world.add_honest(20)
    item = world.items[place]
    row = world.leak(item, how)
    found = audit(world)
    finding = only(found)
    assert (finding.row, finding.rule, finding.item, finding.benchmark) == (row, rule, item.item, item.benchmark)
    assert said in finding.how
    assert finding.score >= 0.8
    assert finding.excludes
    assert found.excluded() == {row}
    if rule == "image":
        assert finding.item_says == item.images[0]
        assert finding.row_says == world.rows[row].image
    else:
        shown = item.question if rule != "answer" else item.answer
        assert " ".join(shown.split())[:60] in finding.item_says


def test_the_seed_systems_blind_spot_option_text_is_covered_by_question_and_answer(world: World) -> None:
    """The file's answer is a letter; the row gives the option's text, with and without the options listed."""
    item = world.items[CHOICE]
    world.say(item.question, f"{gold(item)}.", world.draw(world.pool))
    world.say(with_options(item), gold(item), world.draw(world.pool))
    world.say(with_options(item, "DACB"), "The answer is something else.", world.draw(world.pool))
    found = audit(world)
    assert [finding.rule for finding in found.findings] == ["question+answer", "question+options", "question+options"]


@pytest.mark.parametrize("said", ["{}", "{}.", "({})", "The answer is {}.", "Answer: {}", "{}) as shown"])
def test_a_letter_is_read_in_its_usual_forms(world: World, said: str) -> None:
    item = world.items[CHOICE]
    world.say(item.question, said.format(item.answer), world.draw(world.pool))
    assert only(audit(world)).how == "answered as letter"


def test_a_question_without_its_picture_or_answer_needs_to_be_specific(world: World) -> None:
    item_with(world, question="What is the capital of Peru?", options={}, answer="Lima")
    world.say("What is the capital of Peru?", "Lima")
    assert audit(world).findings == ()
    asked = "What is the woman in the blue coat doing with the umbrella in the picture?"
    item_with(world, question=asked, options={}, answer="closing it")
    world.say(asked, "opening it")
    assert audit(world).findings == ()
    item_with(
        world,
        question="Which tribe wove the oldest reed baskets of the Peruvian altiplano?",
        options={},
        answer="Uru",
    )
    world.say("Which tribe wove the oldest reed baskets of the Peruvian altiplano?", "Nobody knows.")
    assert only(audit(world)).rule == "question"


def test_generic_questions_are_no_evidence(world: World) -> None:
    """Neither where one item asks so, nor where many do; nor with an equal answer; the picture still tells."""
    for place, asked in enumerate(GENERIC):
        world.items.append(
            world.items[OPEN].model_copy(
                update={
                    "item": f"generic-{place}",
                    "group": f"generic-{place}",
                    "question": asked,
                    "answer": "a red car",
                }
            )
        )
    for asked in GENERIC * 3:
        world.say(asked, "a red car", world.draw(world.pool))
        world.say(asked, "yes")
    assert audit(world).findings == ()
    row = world.leak(world.items[OPEN], "image")
    assert audit(world).excluded() == {row}


def test_a_question_that_many_items_share_is_a_way_of_asking(world: World) -> None:
    asked = "Which valve of the harbour steam crane regulates the pressure of the boiler?"
    for place in range(3):
        changes = {"item": f"same-{place}", "group": f"same-{place}", "question": asked, "options": {}}
        world.items.append(world.items[OPEN].model_copy(update=changes))
    world.say(asked, "I cannot say.", world.draw(world.pool))
    assert audit(world).findings == ()
    world.items.pop()
    assert only(audit(world)).rule == "question"


def test_a_question_that_rows_ask_about_many_pictures_is_common(world: World) -> None:
    """With one picture in all rows it is no less a leak."""
    item = world.items[OPEN]
    shared = world.draw(world.pool)
    for _ in range(25):
        world.say(item.question, "I cannot say.", shared)
    assert len(audit(world).excluded()) == 25
    world.rows.clear()
    for _ in range(25):
        world.say(item.question, "I cannot say.", world.draw(world.pool))
    found = audit(world)
    assert found.findings == ()
    assert found.counts.common == 1


def test_a_paraphrase_is_reported_as_one_and_excludes_nothing(world: World) -> None:
    item = item_with(
        world,
        question="What was the total revenue of the shipping company in the third quarter according to the chart?",
        options={},
        answer="14 million dollars",
    )
    chart = world.draw(world.pool)
    world.say("By the chart, how much revenue in total did the shipping company get in quarter three, the third?",
              "It was 14 million dollars.", chart)  # fmt: skip
    world.say("How much money did the freight firm earn from July to September?", "14 million dollars", chart)
    found = audit(world)
    finding = only(found)
    assert (finding.row, finding.rule, finding.item) == (0, "paraphrase", item.item)
    assert not finding.excludes
    assert found.excluded() == frozenset()
    assert found.counts.reported == 1
    assert found.counts.excluded == 0


def test_one_leaked_item_in_ten_thousand_rows_is_found(world: World) -> None:
    world.add_honest(6_000, pictures=False)
    row = world.leak(world.items[CHOICE], "option-text")
    world.add_honest(3_999, pictures=False)
    assert len(world.rows) == 10_000
    assert audit(world).excluded() == {row}


def test_copies_of_one_item_count_as_one_item(world: World) -> None:
    """Rotated copies of a question are one group; so are its rows one leaked item."""
    item = world.items[CHOICE]
    for turn in range(1, 4):
        world.items.append(item.model_copy(update={"item": f"{item.item}-{turn}"}))
    world.leak(item, "letter")
    world.leak(item, "option-text")
    found = audit(world)
    assert len(found.findings) == 2
    assert found.counts.items_found == {"MMBench": 1}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda image: image.resize((333, 250)), True),
        (lambda image: image.convert("L").convert("RGB"), True),
        (lambda image: image.point(lambda value: min(255, int(value * 1.1) + 6)), True),
        (lambda image: image.crop((0, 0, 80, 60)), False),
        (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), False),
    ],
    ids=["resized", "grey", "brighter", "cropped", "mirrored"],
)
def test_which_copies_of_a_picture_are_found(world: World, change: object, found: bool) -> None:
    with Image.open(world.benchmarks / world.items[0].images[0]) as shown:
        assert callable(change)
        copy = world.draw(world.pool, change(shown.convert("RGB")), quality=50)
    row = world.say("What is in the image?", "a mill", copy)
    assert audit(world).excluded() == ({row} if found else frozenset())


def test_blank_and_small_pictures_are_no_evidence_unless_equal(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_items(3)
    blank, small = Image.new("RGB", (100, 100), "white"), picture(1_000_000, 40, 40)
    images = (world.draw(world.benchmarks, blank), world.draw(world.benchmarks, small))
    world.items[0] = world.items[0].model_copy(update={"images": images})
    world.say("What is in the image?", "paper", world.draw(world.pool, blank))
    world.say("What is in the image?", "a mill", world.draw(world.pool, small.resize((42, 42))))
    equal = world.say("What is in the image?", "a mill", world.draw(world.pool, small))
    assert audit(world).excluded() == {equal}


def test_precision_and_recall_on_a_planted_set(tmp_path: Path) -> None:
    """What docs/audit.md tells of the rules, on 150 leaks among 1,500 rows that ask on the items' own patterns."""
    world = World(tmp_path)
    world.add_items(150)
    world.add_honest(1_350)
    leak_each(world, world.items, pictures=True)
    found = audit(world)
    right = found.excluded() & world.planted.keys()
    assert len(right) / len(found.excluded()) >= 0.99
    assert len(right) / len(world.planted) >= 0.9
    assert all(one.item == world.planted[one.row] for one in found.findings)


def test_honest_rows_on_the_items_patterns_are_left_alone(tmp_path: Path) -> None:
    """The rate of false alarms on rows that leak nothing."""
    world = World(tmp_path)
    world.add_items(300)
    world.add_honest(5_000, pictures=False)
    assert len(audit(world).excluded()) <= 1


def test_every_turn_is_read_and_the_finding_quotes_it(world: World) -> None:
    item = world.items[OPEN]
    world.say("What is in the image?", "a mill", world.draw(world.pool))
    turns = world.rows[0].model_dump(by_alias=True)["conversations"]
    said = [{"from": "human", "value": item.question}, {"from": "gpt", "value": item.answer}]
    world.rows[0] = world.rows[0].model_validate(
        {"id": "", "image": world.rows[0].image, "conversations": [*turns, *said]}
    )
    finding = only(audit(world))
    assert finding.row_says == f"{item.question} → {item.answer}"


def test_text_that_was_shuffled_in_case_signs_and_width_is_the_same_text(world: World) -> None:
    item = world.items[OPEN]
    wide = "".join(chr(ord(sign) + 0xFEE0) if "a" <= sign <= "z" else sign for sign in item.question)
    world.say(f"«{item.question.upper()}!»", "no", world.draw(world.pool))
    world.say(wide.replace(",", " —"), "no", world.draw(world.pool))
    for unseen in ("\u200b", "\u00ad", "\u0336", "\u0301"):  # zero-width space, soft hyphen, stroke, accent
        world.say(unseen.join(item.question), "no", world.draw(world.pool))
    assert audit(world).excluded() == {0, 1, 2, 3, 4, 5}


def test_an_unreadable_picture_is_named_and_chosen_by_nobody(world: World) -> None:
    world.add_honest(3)
    path = world.pool / str(world.rows[1].image)
    path.write_bytes(path.read_bytes()[:300])
    found = audit(world)
    assert found.unreadable == (1,)
    assert found.excluded() == {1}
    (world.benchmarks / world.items[0].images[0]).unlink()
    with pytest.raises(AssetsInvalid, match=r"000001\.jpg"):
        audit(world)


def test_findings_and_counts_come_back_from_disk(world: World, tmp_path: Path) -> None:
    world.add_honest(5)
    world.leak(world.items[CHOICE], "letter")
    found = audit(world)
    write_audit(tmp_path / "audit", found)
    assert tuple(read_findings(tmp_path / "audit")) == found.findings
    assert read_summary(tmp_path / "audit").counts == found.counts
    assert found.counts.rows == 6
    assert found.counts.items == 60
    assert found.counts.by_rule == {"question+options": 1}
    assert found.counts.by_benchmark == {"MMBench": 1}
    assert answer(world.rng) not in (tmp_path / "audit" / "audit.json").read_text()
    (tmp_path / "audit" / "audit.json").write_text("{}")
    with pytest.raises(AssetsInvalid, match=r"audit\.json"):
        read_summary(tmp_path / "audit")
