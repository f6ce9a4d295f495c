"""The built-in scaffolds: their words, their cards, their files, and the gate of ``research``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import made_policies as made
from curation_plugins import builtin
from curation_plugins import selection as selections
from curation_plugins.api import Scaffold
from curation_plugins.config import load
from curation_plugins.gating import EarlierTry, GateView, PoolMetadata
from curation_plugins.scaffolds import limits, shallow_tree
from curation_plugins.scaffolds.adapt import AdaptScaffold
from curation_plugins.scaffolds.method_file import METHOD
from curation_plugins.scaffolds.research import ResearchScaffold
from curation_probe.task import TASKS, ProbeTask
from curation_sandbox.protocol import Problem, SubmitRequest
from gate_bench import codes, feedback, make_cards

ALL: dict[str, Scaffold] = {}


def probe() -> ProbeTask:
    return ProbeTask(load(TASKS / "probe" / "task.yaml"))


builtin.register_scaffolds(lambda scaffold: ALL.update({scaffold.name: scaffold}))


def test_there_are_five() -> None:
    assert list(ALL) == ["open", "guide", "references", "research", "adapt"]
    assert {name for name, scaffold in ALL.items() if scaffold.reproduces} == {"research", "adapt"}
    assert {name for name, scaffold in ALL.items() if scaffold.cards() is not None} == {"references", "adapt"}


def test_no_scaffold_speaks_of_what_another_shows() -> None:
    """Cards, families of strategies, method and research files are each told under their own scaffold only."""
    task = probe()
    telling = {
        "curate methods": {"references", "adapt"},
        "method.yaml": {"adapt"},
        "research.yaml": {"research"},
        "Ways to choose training data": {"guide"},
    }
    for words, scaffolds in telling.items():
        assert {name for name, scaffold in ALL.items() if words in scaffold.rules(task)} == scaffolds


def test_each_has_a_digest_of_its_own_that_stays() -> None:
    task = probe()
    digests = {name: scaffold.digest(task) for name, scaffold in ALL.items()}
    assert len(set(digests.values())) == len(ALL)
    assert digests == {name: scaffold.digest(task) for name, scaffold in ALL.items()}


def test_other_cards_are_another_scaffold(tmp_path: Path) -> None:
    task = probe()
    first = AdaptScaffold(make_cards(tmp_path / "cards")).digest(task)
    card = tmp_path / "cards" / "alpha-1.yaml"
    card.write_text(card.read_text().replace("do something", "do something else"))
    assert AdaptScaffold(make_cards(tmp_path / "others")).digest(task) == first
    assert AdaptScaffold(type(AdaptScaffold().cards())(tmp_path / "cards")).digest(task) != first


def test_every_file_of_the_gate_is_in_its_digest() -> None:
    names = {path.name for path in AdaptScaffold().sources()}
    assert {"adapt.py", "code_gate.py", "method_file.py", "shallow_tree.py", "flow.py", "compare.py"} <= names
    assert "research_file.py" in {path.name for path in ResearchScaffold().sources()}


# -- files that are no YAML, or too much of it ------------------------------------------------------------


def problems_of(folder: Path, data: bytes) -> list[Problem]:
    path = folder / "method.yaml"
    path.write_bytes(data)
    return METHOD.read({"method.yaml": path}).problems


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"failure: [1, 2\ncards: 3\n", "method-not-yaml", 2),
        (b"- a\n- b\n", "method-not-yaml", 1),
        (b"", "method-not-yaml", 1),
        (b"failure: x\n\xff\xfe\n", "method-not-text", 2),
        (b"a: 1\nb: 2\na: 3\n", "method-not-yaml", 3),
        (b"a: 1\nb: !!timestamp x\n", "method-not-yaml", 2),
        (b"a: 1\nb: !!bool x\n", "method-not-yaml", 2),
        (b'a: 1\nb: !!int ""\n', "method-not-yaml", 2),
        (b"a: 1\nb: 1" + b":1" * 200 + b".5\n", "method-not-yaml", 2),
        (b"a: &x [1]\nb: *x\n", "method-not-yaml", 1),
        (b"a: " + b"[" * 9000, "method-not-yaml", 1),
        (b"a: " + b"[" * 40 + b"]" * 40, "method-not-yaml", 1),
        (b"a: 2026-99-99\n", "method-not-yaml", 1),
        (b"a: !!python/object/apply:os.system id\n", "method-not-yaml", 1),
        (b"? [a]\n: 1\n", "method-not-yaml", 1),
        (b"x: " + b"y" * 30_000, "method-too-large", 1),
    ],
    ids=[
        *["open", "list", "empty", "bytes", "twice", "no-time", "no-bool", "no-int", "base-60"],
        *["alias", "deep", "nested", "date", "tag", "key", "large"],
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, data: bytes, code: str, line: int) -> None:
    told = problems_of(tmp_path, data)
    assert {problem.code for problem in told} == {code}
    assert told[0].message.startswith(f"method.yaml:{line}:")


def test_an_alias_bomb_is_not_expanded(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 30)]
    assert {problem.code for problem in problems_of(tmp_path, "\n".join(rows).encode())} == {"method-not-yaml"}


def test_every_wrong_key_is_told_with_its_line(tmp_path: Path) -> None:
    data = b"failure: short\nevidence: none\ncards: [Not_An_Id]\nsteps: []\nadapted: 7\nextra: 1\n"
    told = problems_of(tmp_path, data)
    assert {problem.code for problem in told} == {"method-invalid"}
    assert {problem.message.split(":")[1] for problem in told} == {"1", "2", "3", "4", "5", "6"}


def test_a_missing_file_is_asked_for(tmp_path: Path) -> None:
    assert [problem.code for problem in METHOD.read({}).problems] == ["method-missing"]


@pytest.mark.parametrize("data", [b"\xff", b"cards: 3", b"", b"a: &a [*a]"], ids=["bytes", "shape", "empty", "loop"])
def test_a_file_that_cannot_be_read_cites_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "method.yaml").write_bytes(data)
    assert AdaptScaffold().cites({"method.yaml": tmp_path / "method.yaml"}) == ()
    assert AdaptScaffold().cites({"method.yaml": tmp_path / "gone.yaml"}) == ()


# -- research -----------------------------------------------------------------------------------------------


def research(**changes: Any) -> dict[str, Any]:
    written: dict[str, Any] = {
        "observation": "counting is the lowest score, and its questions are rare in what was chosen",
        "evidence": [{"attempt": 1, "benchmark": "counting", "score": 0.5123}],
        "hypothesis": {
            "benchmark": "counting",
            "direction": "up",
            "by": 0.04,
            "because": "a lower band holds more of the short answers that counting asks for",
        },
        "change": {
            "attempt": 1,
            "functions": ["policy.py:select"],
            "what": "the band begins lower and ends lower, nothing else",
        },
    }
    return written | changes


def tried(folder: Path, body: str, written: dict[str, Any] | None) -> GateView:
    folder.mkdir(exist_ok=True)
    (folder / "policy.py").write_text(made.whole(body))
    policy = {"policy.py": folder / "policy.py"}
    if written is not None:
        (folder / "research.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
        policy["research.yaml"] = folder / "research.yaml"
    return GateView(
        request=SubmitRequest(key="research-1", data="0" * 64, policy=()),
        policy=policy,
        selection=selections.of_rows(list(range(10))),
        pool=PoolMetadata(8000, dict),
        earlier=(before(folder),),
    )


def before(folder: Path) -> EarlierTry:
    base = folder / "before.py"
    base.write_text(made.whole(made.LOSS_BAND))
    return EarlierTry(n=1, outcome="accepted", policy={"policy.py": base}, select=lambda: None, feedback=feedback())


def judged(folder: Path, body: str, written: dict[str, Any] | None) -> Sequence[Problem]:
    return ResearchScaffold().gate(tried(folder, body, written))


LOWER = made.LOSS_BAND.replace("0.1, 0.6", "0.05, 0.4")


def test_an_attempt_with_its_hypothesis_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, LOWER, research()) == []


def test_before_the_first_score_there_is_no_evidence_and_no_base(tmp_path: Path) -> None:
    change: dict[str, Any] = {"attempt": None, "functions": [], "what": "the first attempt, a plain band of losses"}
    view = tried(tmp_path, LOWER, research(evidence=[], change=change))
    assert ResearchScaffold().gate(GateView(**{**vars(view), "earlier": ()})) == []
    assert codes(ResearchScaffold().gate(view)) == {"research-evidence", "research-hypothesis", "research-change"}


def test_a_missing_research_file_is_asked_for(tmp_path: Path) -> None:
    assert codes(judged(tmp_path, LOWER, None)) == {"research-missing"}


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        ({"by": 0.001}, "cannot be told from chance"),
        ({"benchmark": "reading"}, "no score 'reading'"),
        ({"benchmark": "signs"}, "quotes no figure of signs"),
    ],
    ids=["too-small", "unknown", "without-evidence"],
)
def test_a_hypothesis_that_cannot_be_tested_is_refused(tmp_path: Path, guess: dict[str, Any], said: str) -> None:
    written = research()
    written["hypothesis"].update(guess)
    problems = judged(tmp_path, LOWER, written)
    assert codes(problems) == {"research-hypothesis"}
    assert said in problems[0].message
    assert problems[0].message.startswith("research.yaml:")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"functions": []}, "policy.py:select differs from attempt 1"),
        ({"functions": ["policy.py:select", "policy.py:band"]}, "policy.py:band is as in attempt 1"),
        ({"functions": ["policy.py:select", "policy.py:gone"]}, "there is no policy.py:gone"),
        ({"attempt": 5}, "there is no attempt 5"),
    ],
    ids=["unnamed", "unchanged", "unknown", "no-attempt"],
)
def test_the_code_that_is_named_is_the_code_that_changed(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    written = research()
    written["change"].update(change)
    problems = judged(tmp_path, LOWER, written)
    assert codes(problems) == {"research-change"}
    assert any(said in problem.message for problem in problems)


def test_code_outside_functions_is_named_too(tmp_path: Path) -> None:
    body = LOWER + "\nEXTRA = 3\n"
    assert codes(judged(tmp_path, body, research())) == {"research-change"}
    written = research()
    written["change"]["functions"].append("policy.py:<module>")
    assert judged(tmp_path, body, written) == []


def test_comments_and_docstrings_are_no_change(tmp_path: Path) -> None:
    body = made.LOSS_BAND.replace('"""Rows of middling loss."""', '"""Rows whose loss is neither."""  # a band')
    written = research()
    written["change"]["functions"] = []
    problems = judged(tmp_path, body, written)
    assert codes(problems) == {"research-change"}
    assert "nothing was changed" in problems[0].message


# -- the shallow tree -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "source": rng.choice(np.array(["amber", "birch", "cedar", "delta", "ember"]), 4000),
        "length": rng.integers(1, 400, 4000),
        "turns": rng.integers(1, 5, 4000),
    }


def area(columns: dict[str, np.ndarray], chosen: np.ndarray) -> float:
    found = shallow_tree.auc(columns, np.flatnonzero(chosen).tolist(), 4000)
    assert found is not None
    return found


def test_thresholds_and_whole_sources_are_told_by_the_tree(columns: dict[str, np.ndarray]) -> None:
    assert area(columns, columns["length"] > 300) > 0.99
    assert area(columns, np.isin(columns["source"], ["amber", "delta"])) > 0.99
    assert area(columns, (columns["source"] == "cedar") & (columns["length"] < 200) & (columns["turns"] > 1)) > 0.99


@pytest.mark.parametrize("count", [70, 400, 2000])
def test_random_rows_are_not(columns: dict[str, np.ndarray], count: int) -> None:
    for seed in range(5):
        chosen = np.zeros(4000, bool)
        chosen[np.random.default_rng(seed).choice(4000, count, replace=False)] = True
        assert area(columns, chosen) < 0.7


def test_rows_that_only_lean_on_metadata_are_not(columns: dict[str, np.ndarray]) -> None:
    """Honest scores have to do with length."""
    rng = np.random.default_rng(0)
    score = columns["length"] / 400 + rng.normal(0, 0.5, 4000)
    assert 0.6 < area(columns, score > np.quantile(score, 0.8)) < 0.95


def test_of_few_rows_nothing_is_said(columns: dict[str, np.ndarray]) -> None:
    few = np.arange(limits.TREE_LEAST - 1)
    assert shallow_tree.auc(columns, few.tolist(), 4000) is None
    assert shallow_tree.auc({}, range(2000), 4000) is None


def test_a_pool_larger_than_is_looked_at_gives_the_same_answer(
    columns: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = columns["length"] > 360
    whole = area(columns, chosen)
    monkeypatch.setattr(shallow_tree, "MOST", 1500)
    assert abs(area(columns, chosen) - whole) < 0.02


def test_nothing_that_a_column_may_hold_breaks_it() -> None:
    strange = {
        "source": np.array(["", "ä", "x" * 500, "\x00"] * 100),
        "length": np.array([np.nan, np.inf, -1.0, 0.0] * 100),
        "turns": np.ones(400),
    }
    found = shallow_tree.auc(strange, range(0, 400, 3), 400)
    assert found is not None
    assert 0 <= found <= 1


def test_a_change_of_settings_beside_the_code_has_to_be_named(tmp_path: Path) -> None:
    view = tried(tmp_path, made.LOSS_BAND, research())
    (tmp_path / "band.json").write_text('{"low": 0.2}')
    view = replace(view, policy={**view.policy, "band.json": tmp_path / "band.json"})
    said = [problem.message for problem in ResearchScaffold().gate(view)]
    assert any("band.json differs from attempt 1" in message for message in said)
    change = {"attempt": 1, "functions": ["band.json"], "what": "the band begins lower, and nothing else is changed"}
    (tmp_path / "research.yaml").write_text(yaml.safe_dump(research(change=change)))
    assert ResearchScaffold().gate(view) == []


def test_a_function_that_stands_twice_is_changed_where_either_is(tmp_path: Path) -> None:
    twice = made.LOSS_BAND + made.LOSS_BAND.partition("def draw(")[0].replace("<= top", "< top + 1")
    problems = judged(tmp_path, twice, research())
    assert any("policy.py:band differs" in problem.message for problem in problems)
