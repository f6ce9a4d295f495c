"""The contract checks themselves: each finds the fault it is there for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from curation_plugins import assets as task_assets
from curation_plugins.api import Agent, AgentLaunch, AgentRequest, Progress, RowCard, Scaffold, Task
from curation_plugins.config import load, override
from curation_plugins.engines.local import LocalEngine, LocalSession
from curation_plugins.errors import ConfigInvalid, WorkFailed
from curation_plugins.gating import GateView
from curation_plugins.jobs import ItemResult, Split
from curation_plugins.testing import check_agent, check_engine, check_scaffold, check_task
from curation_probe.task import TASKS, ProbeTask
from curation_sandbox.protocol import Problem
from curation_sandbox.spec import Mount
from probe_bench import quiet


def probe(kind: type[ProbeTask] = ProbeTask, *settings: str) -> ProbeTask:
    return kind(override(load(TASKS / "probe" / "task.yaml"), settings))


def rewrite(file: Path, change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(change(place, entry)) + "\n" for place, entry in enumerate(entries)))


class NoBrief(ProbeTask):
    def brief(self) -> str:
        return " \n"


class BadKey(ProbeTask):
    def assets_key(self) -> str:
        return "../elsewhere"


class OtherEachTime(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        (folder / "pool" / "made-at").write_text(os.urandom(8).hex())


class ClosedPool(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        (folder / "pool" / "rows.jsonl").chmod(0o600)


class LinkInPool(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        (folder / "pool" / "answers").symlink_to(folder / "truth.json")


class TruthInPool(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        truth = json.loads((folder / "truth.json").read_text())
        rewrite(folder / "pool" / "rows.jsonl", lambda place, row: {**row, "is_clean": truth[place]})


class TruthInNeutralField(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        truth = json.loads((folder / "truth.json").read_text())
        rewrite(folder / "pool" / "rows.jsonl", lambda place, row: {**row, "source": "ab"[truth[place]]})


class SortedByTruth(ProbeTask):
    def truth(self, assets: Path) -> Sequence[bool]:
        return sorted(super().truth(assets))


class ShortTruth(ProbeTask):
    def truth(self, assets: Path) -> Sequence[bool]:
        return super().truth(assets)[1:]


class ShortSources(ProbeTask):
    def sources(self, assets: Path) -> Sequence[str]:
        return super().sources(assets)[:-1]


class UnsortedReference(ProbeTask):
    def reference_rows(self, name: str, seed: int, assets: Path) -> Sequence[int] | None:
        rows = super().reference_rows(name, seed, assets)
        return None if rows is None else list(rows)[::-1]


class AnyReference(ProbeTask):
    def reference_rows(self, name: str, seed: int, assets: Path) -> Sequence[int] | None:
        return [0]


class WrongCard(ProbeTask):
    def row_card(self, row: int, assets: Path) -> RowCard:
        return RowCard(row=0, turns=(("who", "what"),))


class TornGroups(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        rewrite(folder / "items.jsonl", lambda place, item: {**item, "group": "all"})


class SharedItems(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        rewrite(folder / "items.jsonl", lambda place, item: {**item, "item": "one"} if place in (0, 2) else item)


class MissingBenchmark(ProbeTask):
    def prepare(self, folder: Path, progress: Progress) -> None:
        super().prepare(folder, progress)
        rewrite(folder / "items.jsonl", lambda place, item: {**item, "benchmark": "plain", "item": str(place)})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (NoBrief, "the brief is empty"),
        (BadKey, "assets_key '../elsewhere'"),
        (OtherEachTime, "made another pool the second time"),
        (ClosedPool, "cannot be read by the container's user"),
        (LinkInPool, "is a link"),
        (TruthInPool, "have the key ['is_clean']"),
        (TruthInNeutralField, "the field 'source' of rows.jsonl tells good rows from bad ones"),
        (SortedByTruth, "good rows stand in one half"),
        (ShortTruth, "truth has 399 entries for 400 pool rows"),
        (ShortSources, "sources has 399 entries"),
        (UnsortedReference, "is not an ascending list"),
        (AnyReference, "must raise KeyError"),
        (WrongCard, "shows row 0"),
        (TornGroups, "items of one group are in both splits"),
        (SharedItems, "items are in both splits"),
        (MissingBenchmark, "scores ['plain']; it must score"),
    ],
)
def test_faulty_task_is_found_out(tmp_path: Path, kind: type[ProbeTask], says: str) -> None:
    with pytest.raises(AssertionError) as error:
        check_task(probe(kind), tmp_path)
    assert says in str(error.value)


@pytest.mark.parametrize("fault", ["no-model", "model-elsewhere", "unseeded"])
def test_faulty_trainer_is_found_out(tmp_path: Path, fault: str) -> None:
    says = "gave two results" if fault == "unseeded" else "left no such file"
    with pytest.raises(AssertionError, match=says):
        check_task(probe(ProbeTask, f"recipe.fault={fault}"), tmp_path)


@pytest.mark.parametrize("fault", ["short-items", "score-two", "score-nan", "other-benchmark"])
def test_faulty_evaluator_is_found_out(tmp_path: Path, fault: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_task(probe(ProbeTask, f"recipe.fault={fault}", "recipe.fault_role=evaluate"), tmp_path)


class OtherAgain(ProbeTask):
    def rescore(self, predictions: Path, split: Split, assets: Path) -> Iterator[ItemResult]:
        for item in super().rescore(predictions, split, assets):
            yield item.model_copy(update={"score": 1.0})


class Nameless(ProbeTask):
    def mean_name(self, benchmarks: Sequence[str]) -> str:
        return ""


@pytest.mark.parametrize(
    ("kind", "says"),
    [(OtherAgain, "`rescore` makes other public items"), (Nameless, "mean_name gives ''")],
    ids=["rescore", "name"],
)
def test_a_task_that_scores_again_otherwise_or_names_no_mean_is_found_out(
    tmp_path: Path, kind: type[ProbeTask], says: str
) -> None:
    with pytest.raises(AssertionError, match=says):
        check_task(probe(kind), tmp_path)


@pytest.mark.parametrize(("fault", "says"), [("short-values", "3 values for 4 rows"), ("sorted-values", "order")])
def test_faulty_signal_is_found_out(tmp_path: Path, fault: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_task(probe(ProbeTask, f"recipe.fault={fault}", "recipe.fault_role=signal"), tmp_path)


def test_crashing_worker_is_not_taken_for_a_broken_contract(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed):
        check_task(probe(ProbeTask, "recipe.fault=crash"), tmp_path)


class GoodAgent(Agent):
    name = "good"
    summary = "does as it should"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("true",))


class ShoutingAgent(GoodAgent):
    name = "SHOUTING"


class LongAgent(GoodAgent):
    summary = "one line\nand another"


class ChangingAgent(GoodAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("true", os.urandom(4).hex()))


class LeakingAgent(GoodAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("true",), environment={"KEY": os.environ["SOME_API_KEY"]})


class PeepingAgent(GoodAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("true",), mounts=(Mount(source=request.assets, target="/agent"),))


class SilentAgent(GoodAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        raise ConfigInvalid("no")


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        (ShoutingAgent(), "a name is lower-case"),
        (LongAgent(), "the summary is one line"),
        (ChangingAgent(), "two launches for one request differ"),
        (LeakingAgent(), "is the host's SOME_API_KEY"),
        (PeepingAgent(), "it mounts the task's files"),
        (SilentAgent(), "does not say what would be right"),
    ],
)
def test_faulty_agent_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: Agent, says: str) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    task = probe()
    assets = task_assets.ensure(tmp_path, task, quiet)
    check_agent(GoodAgent(), task, assets)
    with pytest.raises(AssertionError, match=says):
        check_agent(agent, task, assets)


class LaxScaffold(Scaffold):
    name = "lax"
    summary = "lets everything pass"
    version = "1"

    def rules(self, task: Task) -> str:
        return "None."

    def gate(self, submission: GateView) -> Sequence[Problem]:
        return ()


def test_scaffold_without_a_gate_is_found_out() -> None:
    with pytest.raises(AssertionError, match="must be refused"):
        check_scaffold(LaxScaffold(), probe())


class ColdSession(LocalSession):
    """Starts a fresh worker for every job."""

    def call(self, spec: Any, role: Any, job: Any, result: Any, progress: Progress) -> Any:
        try:
            return super().call(spec, role, job, result, progress)
        finally:
            for key in list(self._idle):
                while worker := self._taken_idle(key, {}):
                    self._drop(worker, "cold")


class ColdEngine(LocalEngine):
    def open(self, **named: Any) -> ColdSession:
        session = super().open(**named)
        assert isinstance(session, LocalSession)
        return ColdSession(session._queue, session._log, session._limits, session._on_event)


def test_engine_with_cold_workers_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="should be warm"):
        check_engine(ColdEngine(), tmp_path)
