"""A pool of a few hundred rows, cards and earlier attempts, and policies that are run on it: what a gate is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from curation_plugins import selection as selections
from curation_plugins.gating import EarlierTry, GateView, PoolMetadata, Reproduction
from curation_plugins.methods.library import MethodLibrary
from curation_sandbox.protocol import Feedback, Problem, Score, SubmitRequest
from made_policies import whole

ROWS = 700
SOURCES = ("amber", "birch", "cedar", "delta")

RUN = """
import contextlib, io, json, runpy, sys
from pathlib import Path
jobs, pool, history = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
for folder in jobs:
    seen = set()
    def watch(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            seen.add((frame.f_code.co_filename[len(folder) + 1:], frame.f_code.co_qualname))
    sys.argv = ["policy.py", "--pool", pool, "--history", history, "--seed", "7", "--out", folder + "/rows.txt"]
    sys.path.insert(0, folder)
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()):
        sys.setprofile(watch)
        try:
            runpy.run_path(folder + "/policy.py", run_name="__main__")
        finally:
            sys.setprofile(None)
            sys.path.remove(folder)
            for name in set(sys.modules) - before:
                if getattr(sys.modules[name], "__file__", None) and sys.modules[name].__file__.startswith(folder):
                    del sys.modules[name]
    (Path(folder) / "entered.json").write_text(json.dumps(sorted(seen)))
"""


def make_pool(folder: Path) -> None:
    """Rows, signals and a history, from one seed."""
    rng = np.random.default_rng(3)
    (folder / "pool" / "signals").mkdir(parents=True)
    (folder / "history" / "signals").mkdir(parents=True)
    phrases = (
        "how many red shapes are there",
        "which digit is this one",
        "sorry what colour is the left",
        "two blue",
    )
    words = [word for phrase in phrases for word in phrase.split()]
    lines, table = [], ["row,source,turns,answer_chars,similarity,answer_loss"]
    for row in range(ROWS):
        source = SOURCES[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])]
        asked = " ".join(rng.choice(words, int(rng.integers(3, 12))))
        said = " ".join(rng.choice(words, int(rng.integers(1, 20))))
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}] * int(rng.integers(1, 3))
        lines.append(json.dumps({"id": f"{row:06d}", "source": source, "image": None, "conversations": turns}))
        table.append(f"{row},{source},{len(turns)},{len(said)},{rng.normal(0.2, 0.05):.4f},{rng.gamma(2.0):.4f}")
    (folder / "pool" / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "pool" / "signals" / "signals.csv").write_text("\n".join(table) + "\n")
    np.save(folder / "pool" / "signals" / "embeddings.npy", rng.normal(size=(ROWS, 24)).astype(np.float32))
    gradients = [json.dumps({"row": row, "value": rng.normal(size=8).round(4).tolist()}) for row in range(0, ROWS, 2)]
    (folder / "history" / "signals" / "gradient.jsonl").write_text("\n".join(gradients) + "\n")
    attempts = [{"n": 1, "feedback": {"mean": 0.61}}]
    (folder / "history" / "history.json").write_text(json.dumps({"attempts": attempts, "refusals": 0}))


def metadata(pool: Path) -> Mapping[str, np.ndarray]:
    rows = [json.loads(line) for line in (pool / "rows.jsonl").read_text().splitlines()]
    return {
        "source": np.array([row["source"] for row in rows]),
        "length": np.array([sum(len(turn["value"]) for turn in row["conversations"]) for row in rows]),
        "turns": np.array([len(row["conversations"]) for row in rows]),
    }


def make_cards(folder: Path) -> MethodLibrary:
    """Six cards of three families, three steps each."""
    folder.mkdir()
    families = {"alpha": "filtering", "beta": "selection", "gamma": "gradient"}
    for name, family in families.items():
        for number in (1, 2):
            card = {
                "id": f"{name}-{number}",
                "title": "A card for tests",
                "authors": ["Nobody"],
                "year": 2020,
                "arxiv": "2001.00001",
                "family": family,
                "summary": "A card that no paper stands behind.",
                "signals": ["answer-loss"],
                "needs_target": False,
                "procedure": [{"id": f"s{step}", "step": "do something"} for step in (1, 2, 3)],
                "cost": "n rows",
                "fails_when": ["always"],
                "image_text_use": "not published",
                "source": {
                    "checked": "2026-01-01",
                    "url": "https://arxiv.org/abs/2001.00001",
                    "how": "made up for a test",
                    "title_matched": True,
                },
            }
            (folder / f"{name}-{number}.yaml").write_text(yaml.safe_dump(card))
    return MethodLibrary(folder)


def feedback(mean: float = 0.6123) -> Feedback:
    by = {name: Score(mean=mean + shift, stderr=0.02, n=100) for name, shift in (("counting", -0.1), ("signs", 0.1))}
    return Feedback(
        mean=mean,
        stderr=0.01,
        n=200,
        by_benchmark=by,
        references=(),
        noise_floor=0.015,
        best_so_far=mean,
        best_attempt=1,
        message="",
    )


def method(**changes: Any) -> dict[str, Any]:
    """A ``method.yaml`` that passes for a policy with ``band`` and ``draw`` before any score."""
    written: dict[str, Any] = {
        "failure": "a third of the pool's answers are wrong, and random rows take them along",
        "evidence": [],
        "cards": ["alpha-1"],
        "steps": [
            {"card": "alpha-1", "step": "s1", "function": "policy.py:column"},
            {"card": "alpha-1", "step": "s2", "function": "policy.py:select"},
            {"card": "alpha-1", "step": "s3", "left_out": "the host has measured the losses already"},
        ],
        "adapted": "the band lies lower than published, since this pool has more noise on top",
    }
    return written | changes


@dataclass
class Bench:
    """Where policies lie, are run, and are shown to a gate."""

    folder: Path
    library: MethodLibrary
    made: dict[str, Path] = field(default_factory=dict)

    @property
    def pool(self) -> Path:
        return self.folder / "pool"

    def policy(self, name: str, files: Mapping[str, str | bytes]) -> dict[str, Path]:
        """Write a policy's files."""
        folder = self.folder / "policies" / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text if isinstance(text, bytes) else text.encode())
        self.made[name] = folder
        return {path: folder / path for path in files}

    def run(self, names: Sequence[str]) -> None:
        """Run policies, each as the host would, noting which functions are entered."""
        jobs = json.dumps([str(self.made[name]) for name in names])
        history = str(self.folder / "history")
        subprocess.run([sys.executable, "-c", RUN, jobs, str(self.pool), history], check=True)

    def rows(self, name: str) -> list[int]:
        return [int(line) for line in (self.made[name] / "rows.txt").read_text().split()]

    def reproduction(self, name: str) -> Reproduction:
        entered = json.loads((self.made[name] / "entered.json").read_text())
        return Reproduction(ok=True, functions=frozenset((file, qualname) for file, qualname in entered))

    def view(self, name: str, policy: Mapping[str, Path], **changes: Any) -> GateView:
        """What the gate is shown; the policy was run before."""
        ran = (self.made[name] / "rows.txt").exists()
        shown: dict[str, Any] = {
            "request": SubmitRequest(key="gate-bench-1", data="0" * 64, policy=()),
            "policy": policy,
            "selection": selections.of_rows(self.rows(name) if ran else list(range(10))),
            "pool": PoolMetadata(ROWS, lambda: metadata(self.pool)),
            "cards_read": dict.fromkeys(self.library.cards, 0),
            "reproduction": self.reproduction(name) if ran else None,
        }
        return GateView(**(shown | changes))

    def earlier(self, name: str, n: int | None, **changes: Any) -> EarlierTry:
        """A policy as an accepted attempt, or, without a number, as a refused try."""
        files = {path.name: path for path in self.made[name].glob("*.py")}
        tried: dict[str, Any] = {
            "n": n,
            "refusal": None if n is not None else 1,
            "outcome": "accepted" if n is not None else "refused",
            "policy": files,
            "select": lambda: selections.of_rows(self.rows(name)),
            "feedback": feedback() if n is not None else None,
            "cited": ("alpha-1",),
        }
        return EarlierTry(**(tried | changes))


def files(body: str, written: Mapping[str, Any] | None) -> dict[str, str | bytes]:
    """A policy's files: its code, and ``method.yaml``."""
    made: dict[str, str | bytes] = {"policy.py": whole(body)}
    if written is not None:
        made["method.yaml"] = yaml.safe_dump(dict(written), sort_keys=False)
    return made


def codes(problems: Sequence[Problem]) -> set[str]:
    return {problem.code for problem in problems}
