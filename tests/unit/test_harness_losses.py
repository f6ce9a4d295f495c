"""An agent whose container, engine or sockets go away: what it is told, what it costs, and when the run gives up.
Containers are stood in for; ``tests/containers/test_containers_faults.py`` loses real ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from curation_harness.agent import losses
from curation_harness.agent import phase as agent_phase
from curation_harness.agent.box import SocketFolder
from curation_harness.recorded import agent_is_through
from curation_plugins.api import AgentLaunch
from curation_sandbox.container import ExitStatus
from curation_sandbox.errors import ContainerGone, CurationError, EngineUnavailable
from test_harness_agent_phase import QUICK, Box, Mute, Stage, Talker, Turn


@dataclass
class Lossy(Turn):
    """A turn that is lost."""

    loss: CurationError | None = None
    """Raised wherever the container is asked for anything."""
    from_outside: bool = False
    away: list[CurationError] = field(default_factory=list)
    """What the engine says when it is looked at afterwards, one each time."""


class LossyBox(Box):
    turn: Lossy

    def ended(self) -> bool:
        over = super().ended()
        if self.turn.loss is not None and over:
            raise self.turn.loss
        return over

    def exit_status(self) -> ExitStatus:
        return ExitStatus(137, oom_killed=False, from_outside=self.turn.from_outside)

    def require_gone(self) -> None:
        if self.turn.away:
            raise self.turn.away.pop(0)


class LossyStage(Stage):
    sockets: Path

    def _box(self, launch: AgentLaunch, sockets: SocketFolder) -> Box:
        assert self.turns, f"one turn too many: {launch.command}"
        self.sockets = sockets.path.parent
        self.boxes.append(LossyBox(launch, self.turns.pop(0)))
        return self.boxes[-1]

    def whys(self) -> list[str]:
        return [event.data["why"] for event in self.loop.record.events.of("agent-continued")]

    def lost(self) -> list[str]:
        return [event.data["what"] for event in self.loop.record.events.of("agent-lost")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_phase, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(losses, "POLL_SECONDS", 0.01)


GONE = EngineUnavailable("the engine went away")
REMOVED = ContainerGone("it was removed")


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (Lossy(loss=GONE), "engine"),
        (Lossy(loss=REMOVED), "container"),
        (Lossy(from_outside=True), "container"),
        (Lossy(loss=GONE, away=[GONE, GONE]), "engine"),
    ],
    ids=["engine", "removed", "killed", "engine-away-for-a-while"],
)
def test_a_loss_costs_the_agent_nothing_and_its_conversation_goes_on(open_loop, turn: Lossy, what: str) -> None:
    with open_loop(*QUICK, "budgets.continuations=0") as loop:
        stage = LossyStage(loop, Talker(), [])
        turn.act, turn.away = stage.spoken, list(turn.away)
        stage.turns = [turn, Lossy()]
        stage.run()
        assert (stage.lost(), stage.whys()) == ([what], ["lost"])
        assert [command[0] for command in stage.commands] == ["launch", "proceed"]
        assert "no fault of yours" in stage.commands[1][2]
        exits = [event.data["turn"] for event in loop.record.events.of("agent-exited")]
        assert exits == [1, 2]
        assert stage.kinds()[-1] == "agent-over"


def test_an_agent_that_cannot_be_continued_is_begun_again_after_a_loss(open_loop) -> None:
    with open_loop(*QUICK) as loop:
        stage = LossyStage(loop, Mute(), [])
        stage.turns = [Lossy(act=stage.spoken, loss=REMOVED), Lossy()]
        stage.run()
        assert [command[0] for command in stage.commands] == ["launch", "launch"]


def test_deleted_sockets_are_made_anew_for_the_next_turn(open_loop) -> None:
    with open_loop(*QUICK, "budgets.continuations=0") as loop:
        stage = LossyStage(loop, Talker(), [])
        folders: list[Path] = []

        def delete() -> None:
            stage.spoken()
            folders.append(stage.sockets)
            shutil.rmtree(stage.sockets)

        def look() -> None:
            folders.append(stage.sockets)
            assert (stage.sockets / "s" / "submit.sock").is_socket()

        stage.turns = [Lossy(act=delete, ends=False), Lossy(act=look)]
        stage.run()
        assert (stage.lost(), stage.whys()) == (["sockets"], ["lost"])
        assert folders[0] != folders[1]
        assert not folders[1].exists()


def test_an_engine_that_stays_away_stops_the_run_and_it_can_be_resumed(
    open_loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ENGINE_SECONDS", 0.1)
    with open_loop(*QUICK) as loop:
        stage = LossyStage(loop, Talker(), [])
        stage.turns = [Lossy(act=stage.spoken, loss=GONE, away=[GONE] * 10_000)]
        with pytest.raises(EngineUnavailable, match="did not come back") as given_up:
            stage.run()
        assert "harness resume" in str(given_up.value)
        assert not agent_is_through(loop.record)


def test_a_container_that_is_lost_again_and_again_stops_the_run(open_loop) -> None:
    with open_loop(*QUICK) as loop:
        stage = LossyStage(loop, Talker(), [Lossy(loss=REMOVED) for _ in range(1 + losses.IN_A_ROW)])
        with pytest.raises(ContainerGone, match="times in a row"):
            stage.run()
        assert not stage.turns
        assert not agent_is_through(loop.record)


def test_losses_with_a_good_turn_between_them_are_not_in_a_row(open_loop) -> None:
    with open_loop(*QUICK, "budgets.continuations=4") as loop:
        stage = LossyStage(loop, Talker(), [])
        stage.turns = [turn for _ in range(4) for turn in (Lossy(act=stage.spoken, loss=REMOVED), Lossy())] + [
            Lossy()
        ]
        stage.run()
        assert stage.lost() == ["container"] * 4
        assert not stage.turns


def test_an_agent_that_said_it_is_done_needs_no_new_container(open_loop) -> None:
    with open_loop(*QUICK) as loop:
        stage = LossyStage(loop, Talker(), [])

        def done() -> None:
            stage.spoken()
            stage.done = agent_phase.time.monotonic()

        stage.turns = [Lossy(act=done, loss=REMOVED)]
        stage.run()
        assert len(stage.boxes) == 1


def test_a_first_container_that_cannot_be_started_is_no_loss(open_loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Box, on_output: Callable[[bytes], None]) -> None:
        raise GONE

    monkeypatch.setattr(LossyBox, "open", refused)
    with open_loop(*QUICK) as loop:
        stage = LossyStage(loop, Talker(), [Lossy()])
        with pytest.raises(EngineUnavailable):
            stage.run()
        assert stage.lost() == []
