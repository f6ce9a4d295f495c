"""The labelled corpus of policy pairs is well-formed and broad; its held-out half is the one that was frozen."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

CORPUS = Path(__file__).parents[1] / "corpus"
HELDOUT = CORPUS / "heldout"
FROZEN = "85a67b822a129933f100265f7eeaa3533044abb0e5a323b64099ee4507089e95"
"""SHA-256 of the held-out half, taken before any labeller was run on it. A change needs a reason in the commit:
agreement measured on another half is another number."""

LABELS = {"repair", "seed or rerun", "local tuning", "recombination", "new family", "adaptation", "baseline"}
ALWAYS_SHALLOW = {"seed or rerun", "local tuning"}
NO_CASE = {"policies", "selections"}
ROWS, BUDGET = 400, 120


def halves() -> list[Path]:
    return [half for half in (HELDOUT, CORPUS / "development") if half.is_dir()]


def cases_of(half: Path) -> list[Path]:
    return sorted(folder for folder in half.iterdir() if folder.is_dir() and folder.name not in NO_CASE)


def read(case: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((case / "case.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def every_case() -> list[Path]:
    return [case for half in halves() for case in cases_of(half)]


def digest(folder: Path) -> str:
    """SHA-256 over the files of a folder, sorted by path: path, NUL, length, NUL, bytes."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    total = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        content = path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def test_heldout_half_is_the_frozen_one() -> None:
    assert digest(HELDOUT) == FROZEN


@pytest.mark.parametrize("case", every_case(), ids=lambda case: f"{case.parent.name}-{case.name}")
def test_case_is_well_formed(case: Path) -> None:
    told = read(case)
    assert set(told) <= {"label", "shallow", "hard", "why", "methods", "earlier", "later"}
    assert told["label"] in LABELS
    assert isinstance(told["shallow"], bool)
    if told["label"] != "repair":
        assert told["shallow"] == (told["label"] in ALWAYS_SHALLOW)
    assert re.fullmatch(r"[^\n]{20,400}\.", told["why"]), "one sentence"
    assert told["methods"]
    assert all(re.fullmatch(r"[a-z0-9-]+", method) for method in told["methods"])
    for entry in [*told["earlier"], told["later"]]:
        assert (case.parent / "policies" / entry["policy"] / "policy.py").is_file()
    for entry in told["earlier"]:
        if entry["outcome"] == "accepted":
            assert 0 < entry["mean"] < 1
            assert (case.parent / "selections" / f"{entry['policy']}.txt").is_file()
        else:
            assert entry["outcome"] in ("refused", "failed")
            assert entry["mean"] is None
            assert entry["reason"]
    assert (case.parent / "selections" / f"{told['later']['policy']}.txt").is_file()


@pytest.mark.parametrize("case", every_case(), ids=lambda case: f"{case.parent.name}-{case.name}")
def test_label_fits_what_came_before(case: Path) -> None:
    """What the definitions demand of the outcomes, whatever the code says."""
    told = read(case)
    accepted = [entry for entry in told["earlier"] if entry["outcome"] == "accepted"]
    if told["label"] == "baseline":
        assert not told["earlier"]
    elif told["label"] == "repair":
        assert told["earlier"][-1]["outcome"] != "accepted"
    elif told["label"] == "recombination":
        assert len(accepted) >= 2
    elif told["label"] != "new family":
        assert accepted


@pytest.mark.parametrize("half", halves(), ids=lambda half: half.name)
def test_every_policy_is_used_and_has_a_selection_or_a_reason(half: Path) -> None:
    named = {entry["policy"] for case in cases_of(half) for entry in [*read(case)["earlier"], read(case)["later"]]}
    assert {folder.name for folder in (half / "policies").iterdir()} == named
    assert {path.stem for path in (half / "selections").iterdir()} == named
    for path in (half / "selections").glob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line)["row"] if line.startswith("{") else int(line) for line in lines]
        assert rows == sorted(set(rows)), path.name
        assert 0 < len(rows) <= BUDGET, path.name
        assert 0 <= rows[0] <= rows[-1] < ROWS, path.name


def test_heldout_half_covers_labels_and_methods() -> None:
    told = [read(case) for case in cases_of(HELDOUT)]
    labels = Counter(case["label"] for case in told)
    assert len(told) >= 66
    assert set(labels) == LABELS
    assert all(count >= 10 for label, count in labels.items() if label != "baseline")
    assert len({method for case in told for method in case["methods"]}) >= 14
    assert sum(case.get("hard", False) for case in told) >= 15


def test_corpus_is_as_large_as_the_docs_say() -> None:
    assert len(halves()) == 2
    told = [read(case) for case in every_case()]
    assert len(told) >= 120
    assert len({method for case in told for method in case["methods"]}) >= 25


def test_selections_come_from_the_policies(tmp_path: Path) -> None:
    """A sample of policies that need nothing beyond NumPy, run again on a pool made anew."""
    subprocess.run([sys.executable, str(CORPUS / "pool.py"), str(tmp_path)], check=True)
    for name in ("ann_random", "bea_quota", "cai_el2n", "hal_ppl_band"):
        out = tmp_path / f"{name}.txt"
        command = [sys.executable, "-B", str(HELDOUT / "policies" / name / "policy.py")]
        command += [
            "--pool",
            str(tmp_path / "pool"),
            "--history",
            str(tmp_path / "history"),
            "--seed",
            "7",
            "--out",
            str(out),
        ]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": "0"})
        kept = (HELDOUT / "selections" / f"{name}.txt").read_text(encoding="utf-8").split()
        assert sorted(out.read_text(encoding="utf-8").split(), key=int) == kept, name
