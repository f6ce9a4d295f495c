"""A made world for the audit: benchmark items, honest rows that ask alike, and rows that leak an item on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.rows import Row

SUBJECTS = (
    "steam engine", "coral reef", "wind turbine", "violin maker", "tide table", "beehive", "glacier", "water mill",
    "printing press", "silk loom", "lighthouse", "salt marsh", "rail depot", "stone bridge", "cheese cellar",
    "observatory", "rope factory", "tea garden", "copper mine", "paper kiln",
)  # fmt: skip
SIDES = (
    "upper", "outer", "northern", "main", "left", "inner", "drainage", "brass", "wooden", "support", "front", "rear",
    "cooling", "glass", "lower", "hinged", "painted", "copper", "spare", "folding", "curved", "central", "leather",
)  # fmt: skip
PIECES = (
    "valve", "ring", "wall", "shaft", "gauge", "chamber", "channel", "handle", "frame", "cable", "panel",
    "axle", "pipe", "dome", "wheel", "hatch", "spring", "bearing", "ladder", "basin", "hook", "roof",
    "lantern", "piston", "tray",
)  # fmt: skip
VERBS = (
    "regulates", "supports", "filters", "connects", "protects", "measures", "drives", "cools", "balances", "stores",
    "separates", "releases", "warms",
)  # fmt: skip
THINGS = (
    "pressure", "sunlight", "humidity", "rotation", "sediment", "tension", "airflow", "voltage", "salinity",
    "traffic", "temperature", "friction", "vibration", "moisture", "current", "daylight", "smoke", "pollen",
    "gravel", "steam", "oil", "grain", "dust", "heat", "noise", "rainwater", "cargo", "fibre",
)  # fmt: skip
SYLLABLES = (
    "ta", "ro", "vel", "mi", "kor", "ün", "sa", "ledo", "bri", "na", "quor", "est", "pal", "ghi", "dor", "wen",
)  # fmt: skip
YEARS = tuple(range(1803, 1999, 7))
GENERIC = (
    "What is in the image?",
    "What is shown in this picture?",
    "What color is the car?",
    "How many people are in the photo?",
    "Is there a dog in the picture?",
    "Describe the image in detail.",
    "What is the man holding in his hand?",
    "Who is the author of this book?",
)
ASK = "\nAnswer with the option's letter from the given choices directly."


def picture(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """A smooth random picture, as unlike another seed's as two photographs."""
    rng = np.random.default_rng([seed, 5])
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def question(rng: random.Random) -> str:
    """One of many thousands, on a few patterns."""
    part, verb, thing = _part(rng), rng.choice(VERBS), rng.choice(THINGS)
    place = "".join(rng.choices(SYLLABLES, k=3)).title()
    subject, year = f"{rng.choice(SUBJECTS)} at {place}", rng.choice(YEARS)
    return rng.choice(
        (
            f"Which part of the {subject} {verb} the {thing} near the {part} in {year}?",
            f"According to the diagram of the {subject}, what happens to the {thing} when the {part} fails?",
            f"In {year}, how did engineers of the {subject} change the {part} that {verb} {thing}?",
            f"What does the {part} of this {subject} from {year} do with the {thing}?",
            f"Which {part} {verb} the {thing} of the {subject}?",
            f"Who built the {part} of the {subject}?",
        )
    )


def answer(rng: random.Random) -> str:
    town = "".join(rng.choices(SYLLABLES, k=2)).title()
    return f"{rng.choice(THINGS)} in the {_part(rng)} of {town}"


def _part(rng: random.Random) -> str:
    return f"{rng.choice(SIDES)} {rng.choice(PIECES)}"


@dataclass
class World:
    """Items with their pictures on disk, and rows that are added one by one."""

    folder: Path
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    items: list[BenchmarkItem] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    planted: dict[int, str] = field(default_factory=dict)
    """Row to the item it leaks."""
    pictures: int = 0
    size: tuple[int, int] = (120, 90)
    """Of the pictures, in pixels."""

    @property
    def pool(self) -> Path:
        return self.folder / "pool"

    @property
    def benchmarks(self) -> Path:
        return self.folder / "benchmarks"

    def draw(self, root: Path, made: Image.Image | None = None, quality: int = 90) -> str:
        """Saves a picture of its own; its path below `root`."""
        self.pictures += 1
        name = f"images/{self.pictures:06d}.jpg"
        (root / "images").mkdir(parents=True, exist_ok=True)
        (made or picture(self.pictures, *self.size)).save(root / name, quality=quality)
        return name

    def add_items(self, count: int) -> None:
        """A third with options, a third open, a third with a long answer."""
        for number in range(count):
            kind = ("choice", "open", "long")[number % 3]
            options = [answer(self.rng) for _ in range(4)] if kind == "choice" else []
            gold = " and ".join(answer(self.rng) for _ in range(4)) if kind == "long" else answer(self.rng)
            self.items.append(
                BenchmarkItem(
                    benchmark={"choice": "MMBench", "open": "MMVet", "long": "LLaVABench"}[kind],
                    item=str(number),
                    group=f"g{number}",
                    prompt=(0, "?"),
                    images=(self.draw(self.benchmarks),),
                    max_tokens=8,
                    question=question(self.rng),
                    options=dict(zip("ABCD", options, strict=False)),
                    answer=self.rng.choice("ABCD") if options else f"The {gold}, as the plate on the wall says.",
                )
            )

    def say(self, human: str, gpt: str, image: str | None = None) -> int:
        """Adds a row; its place."""
        mark = "<image>\n" if image else ""
        said = [{"from": "human", "value": mark + human}, {"from": "gpt", "value": gpt}]
        self.rows.append(Row.model_validate({"id": "r", "image": image, "conversations": said}))
        return len(self.rows) - 1

    def add_honest(self, count: int, *, pictures: bool = True) -> None:
        """Rows about other pictures: a fifth with generic questions, some with options, the rest on the items'
        patterns."""
        for _ in range(count):
            kind = self.rng.random()
            image = self.draw(self.pool) if pictures else None
            if kind < 0.2:
                self.say(self.rng.choice(GENERIC), answer(self.rng), image)
            elif kind < 0.4:
                said = "".join(f"\n{letter}. {answer(self.rng)}" for letter in "ABCD")
                self.say(question(self.rng) + said + ASK, self.rng.choice("ABCD"), image)
            else:
                self.say(question(self.rng), answer(self.rng), image)

    def leak(self, item: BenchmarkItem, how: str) -> int:
        """Adds a row that leaks an item in one of the ways of `LEAKS`."""
        row = LEAKS[how](self, item)
        self.planted[row] = item.item
        return row


def gold(item: BenchmarkItem) -> str:
    return item.options.get(item.answer, item.answer)


def with_options(item: BenchmarkItem, order: Sequence[str] = "ABCD") -> str:
    return item.question + "".join(f"\n{letter}. {item.options[letter]}" for letter in order) + ASK


def _option_text(world: World, item: BenchmarkItem) -> int:
    return world.say(item.question, gold(item), world.draw(world.pool))


def _letter(world: World, item: BenchmarkItem) -> int:
    return world.say(with_options(item), item.answer, world.draw(world.pool))


def _image(world: World, item: BenchmarkItem) -> int:
    with Image.open(world.benchmarks / item.images[0]) as shown:
        copy = world.draw(world.pool, shown.convert("RGB").resize((200, 150)), quality=60)
    return world.say(world.rng.choice(GENERIC), "yes", copy)


def _question(world: World, item: BenchmarkItem) -> int:
    return world.say(item.question, "I cannot say.", world.draw(world.pool))


def _edited(world: World, item: BenchmarkItem) -> int:
    """The first word is another, and all is upper case."""
    asked = "please " + item.question.split(" ", 1)[1]
    return world.say(asked.upper(), gold(item), world.draw(world.pool))


def _answer(world: World, item: BenchmarkItem) -> int:
    return world.say("Tell me more.", gold(item), world.draw(world.pool))


LEAKS: dict[str, Callable[[World, BenchmarkItem], int]] = {
    "option-text": _option_text,
    "letter": _letter,
    "image": _image,
    "question": _question,
    "edited": _edited,
    "answer": _answer,
}

WAYS: dict[str, tuple[str, ...]] = {
    "MMBench": ("option-text", "letter", "question", "edited", "image"),
    "MMVet": ("question", "edited", "image"),
    "LLaVABench": ("question", "edited", "answer", "image"),
}
"""Which leaks suit an item of each benchmark."""


def leak_each(world: World, items: Sequence[BenchmarkItem], *, pictures: bool) -> dict[int, str]:
    """Adds a row for each item, its ways in turn; row to way."""
    turns = dict.fromkeys(WAYS, 0)
    kinds: dict[int, str] = {}
    for item in items:
        ways = WAYS[item.benchmark] if pictures else WAYS[item.benchmark][:-1]
        how = ways[turns[item.benchmark] % len(ways)]
        turns[item.benchmark] += 1
        kinds[world.leak(item, how)] = how
    return kinds
