"""No image and no question group has items in both halves, whatever links them, in whichever benchmark they are."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from curation_plugins.tasks.llava.benchmarks.groups import assign_groups, image_ties, split_items
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from made_benchmarks import item

Drawn = Sequence[tuple[int, tuple[int, ...]]]
"""(question group, images) of each item."""

ITEMS = st.lists(
    st.tuples(st.integers(0, 25), st.lists(st.integers(0, 40), max_size=3).map(tuple)), min_size=1, max_size=80
)


def build(drawn: Drawn) -> list[BenchmarkItem]:
    return [
        item(
            "AB"[number % 2],
            str(number),
            ties=(f"question:{'AB'[number % 2]}/{question}", *image_ties(f"pixels{image}" for image in images)),
        )
        for number, (question, images) in enumerate(drawn)
    ]


def components(items: Sequence[BenchmarkItem]) -> set[frozenset[str]]:
    """Connected items, by walking from each to all that share a tie with it."""
    by_tie: dict[str, set[str]] = defaultdict(set)
    ties = {f"{one.benchmark}/{one.item}": one.ties for one in items}
    for name, own in ties.items():
        for tie in own:
            by_tie[tie].add(name)
    found: set[frozenset[str]] = set()
    for name in ties:
        reached, todo = {name}, [name]
        while todo:
            near = {other for tie in ties[todo.pop()] for other in by_tie[tie]} - reached
            reached |= near
            todo += near
        found.add(frozenset(reached))
    return found


@settings(max_examples=150, deadline=None)
@given(ITEMS, st.text(max_size=8))
def test_what_is_linked_is_one_group_and_lies_in_one_half(drawn: Drawn, salt: str) -> None:
    items = assign_groups(build(drawn))
    by_group: dict[str, set[str]] = defaultdict(set)
    for one in items:
        by_group[one.group].add(f"{one.benchmark}/{one.item}")
    assert {frozenset(members) for members in by_group.values()} == components(items)
    halves = split_items(items, salt)
    ties = {half: {tie for one in members for tie in one.ties} for half, members in halves.items()}
    assert not ties["public"] & ties["sealed"]
    assert sum(map(len, halves.values())) == len(items)


@settings(max_examples=50, deadline=None)
@given(ITEMS, st.integers(0, 1000))
def test_groups_and_halves_do_not_depend_on_the_order_of_items(drawn: Drawn, seed: int) -> None:
    items = build(drawn)
    before = {(one.benchmark, one.item): one.group for one in assign_groups(items)}
    random.Random(seed).shuffle(items)
    assert {(one.benchmark, one.item): one.group for one in assign_groups(items)} == before


def test_an_image_in_a_chain_of_benchmarks_drags_all_of_them_along() -> None:
    """A's image 1 is B's, whose question is asked of image 2, which is A's again: one half holds all four."""
    chain: Drawn = [(1, (1,)), (9, (1,)), (2, (2,)), (9, (2,))]
    for salt in range(30):
        halves = split_items(assign_groups(build(chain)), str(salt))
        assert sorted(len(members) for members in halves.values()) == [0, 4]


def test_both_halves_get_about_as_much() -> None:
    draw = random.Random(0)
    items = assign_groups(build([(number, (draw.randrange(4000),)) for number in range(3000)]))
    sizes = {half: len(members) for half, members in split_items(items, "salt").items()}
    assert 0.45 < sizes["public"] / 3000 < 0.55
