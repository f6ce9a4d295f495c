"""The agent's turns: what ends one, who is continued, and who is not. Containers are stood in for; the record, the
handler, the clock and the work are real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from curation_harness.agent import phase as agent_phase
from curation_harness.agent import sockets as agent_sockets
from curation_harness.agent.phase import AgentPhase
from curation_harness.agent.seat import ModelLine, Seat
from curation_harness.recorded import agent_is_through
from curation_harness.run.loop import RunLoop
from curation_harness.watcher import Watcher
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.container import ExitStatus
from curation_sandbox.errors import ProviderUnreachable
from made_attempts import accept


class Talker(Agent):
    """An agent that can be continued; its command tells what it was told."""

    name = "talker"
    summary = "talks"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("launch", request.session))

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        return AgentLaunch(command=("proceed", request.session, message))

    def is_final(self, line: bytes) -> bool:
        return line == b"final"


class Mute(Talker):
    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        return None


@dataclass
class Turn:
    """What a container does: says something, has something done, and ends or not."""

    output: bytes = b""
    act: Callable[[], None] = lambda: None
    ends: bool = True
    code: int = 0


@dataclass
class Box:
    launch: AgentLaunch
    turn: Turn
    ended_by_us: bool = False
    acted: bool = False
    container_id: str = "box"
    say: Callable[[bytes], None] = lambda output: None

    @contextmanager
    def open(self, on_output: Callable[[bytes], None]) -> Iterator[None]:
        self.say = on_output
        if self.turn.output:
            on_output(self.turn.output)
        yield

    def ended(self) -> bool:
        if not self.acted:
            self.acted = True
            self.turn.act()
            return False
        return self.turn.ends or self.ended_by_us

    def end(self) -> None:
        self.ended_by_us = True

    def exit_status(self) -> ExitStatus:
        return ExitStatus(self.turn.code, oom_killed=False)

    def new_oom_kills(self) -> int:
        return 0

    def keep_session_log(self, patterns: object, turn: int) -> None: ...


@dataclass
class Stage:
    """A phase with scripted turns."""

    loop: RunLoop
    agent: Agent
    turns: list[Turn]
    boxes: list[Box] = field(default_factory=list)
    stopping: bool = False
    done: float | None = None
    model: bool = False

    def run(self) -> None:
        request = AgentRequest(task=self.loop.parts.task, assets=self.loop.parts.assets, seed=1, iterations=2)
        line = (
            ModelLine(used=SimpleNamespace(provider="x", prices=()), pins=None, source=None) if self.model else None
        )
        phase = AgentPhase(
            record=self.loop.record,
            seat=Seat(agent=self.agent, request=request, image="i", model=line),
            handler=self.loop.handler,
            work=self.loop.work,
            clock=self.loop.clock,
            watcher=Watcher(),
            box=self._box,
            stopping=lambda: self.stopping,
            done_at=lambda: self.done,
            tell_interruption=lambda: self.loop.record.events.append("interrupted"),
        )
        phase.run()

    def _box(self, launch: AgentLaunch, sockets: object) -> Box:
        assert self.turns, f"one turn too many: {launch.command}"
        self.boxes.append(Box(launch, self.turns.pop(0)))
        return self.boxes[-1]

    @property
    def commands(self) -> list[tuple[str, ...]]:
        return [box.launch.command for box in self.boxes]

    def spoken(self, outcome: str = "ok") -> None:
        """The model answered."""
        call = {"id": 1, "outcome": outcome, "status": 200, "tokens": 1, "dollars": 0.0, "seconds": 0.0}
        self.loop.record.events.append("model-call", **call)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.loop.record.events.all()]

    def submit(self, rows: range) -> None:
        """Accept and score an attempt."""
        accept(self.loop.record, len(self.loop.record.submissions()) + 1, rows)
        self.loop.recover()
        self.loop.work_off()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {
        "POLL_SECONDS": 0.01,
        "DONE_SECONDS": 0.2,
        "GRACE_SECONDS": 0.2,
        "OUTAGE_SECONDS": 0.01,
    }.items():
        monkeypatch.setattr(agent_phase, name, seconds)


QUICK = ("budgets.iterations=2", "budgets.linger_seconds=0.2", "headline.seeds=1")


def test_an_agent_that_stops_early_is_told_what_is_left_and_continued(open_loop):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=stage.spoken), Turn(act=lambda: stage.submit(range(5))), Turn(), Turn()]
        stage.run()
        kinds = [command[0] for command in stage.commands]
        assert kinds == ["launch", "proceed", "proceed", "proceed"]
        assert len({command[1] for command in stage.commands}) == 1  # one conversation
        assert "You have 2 of 2 iterations left" in stage.commands[1][2]
        assert "You have 1 of 2 iterations left" in stage.commands[2][2]
        assert stage.kinds()[-1] == "agent-over"


@pytest.mark.parametrize("allowed", [0, 1])
def test_it_is_continued_as_often_as_the_run_says(open_loop, allowed):
    with open_loop(*QUICK, f"budgets.continuations={allowed}") as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=stage.spoken), *(Turn() for _ in range(allowed))]
        stage.run()
        assert len(stage.boxes) == 1 + allowed


def test_an_agent_that_cannot_be_continued_is_not(open_loop):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Mute(), [Turn()])
        stage.run()
        assert "agent-continued" not in stage.kinds()
        assert stage.kinds()[-1] == "agent-over"


def test_an_agent_that_said_it_is_done_is_left_alone(open_loop):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Talker(), [])

        def done() -> None:
            stage.spoken()
            stage.done = time.monotonic()

        stage.turns = [Turn(act=done)]
        stage.run()
        assert len(stage.boxes) == 1


def test_nothing_is_continued_when_all_iterations_are_spent(open_loop):
    with open_loop("budgets.iterations=1", *QUICK[1:]) as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=lambda: (stage.spoken(), stage.submit(range(5))))]
        stage.run()
        assert len(stage.boxes) == 1


def test_a_beginning_that_came_to_nothing_is_begun_again_under_another_name(open_loop):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(code=1), Turn(act=stage.spoken), Turn(), Turn()]
        stage.run()
        assert [command[0] for command in stage.commands] == ["launch", "launch", "proceed", "proceed"]
        sessions = [command[1] for command in stage.commands]
        assert sessions[0] != sessions[1] == sessions[2] == sessions[3]


def test_a_program_that_hangs_after_its_last_word_is_ended(open_loop):
    with open_loop(*QUICK, "budgets.continuations=0") as loop:
        stage = Stage(loop, Talker(), [Turn(output=b"hello\nfinal\n", ends=False)])
        stage.run()
        assert stage.boxes[0].ended_by_us
        assert "agent-lingers" in stage.kinds()


def test_the_last_word_is_found_over_pieces_and_not_inside_a_line(open_loop):
    with open_loop(*QUICK, "budgets.continuations=0", "budgets.idle_seconds=1") as loop:
        stage = Stage(loop, Talker(), [Turn(output=b"not final\nfinal", ends=False)])
        stage.run()  # no newline: the word may go on
        assert "agent-lingers" not in stage.kinds()
        assert "agent-idle" in stage.kinds()


def test_an_idle_agent_is_ended_and_continued(open_loop):
    with open_loop(*QUICK, "budgets.idle_seconds=0.3", "budgets.continuations=1") as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=stage.spoken, ends=False), Turn()]
        stage.run()
        assert "agent-idle" in stage.kinds()
        assert "Nothing was heard" in stage.commands[1][2]


def test_the_watchdog_never_fires_while_the_host_works(open_loop):
    slow = (
        "recipe.delay_seconds=1.5",
        "budgets.idle_seconds=0.4",
        "budgets.iterations=1",
        "budgets.linger_seconds=9",
    )
    with open_loop(*slow) as loop:
        stage = Stage(loop, Mute(), [])
        stage.turns = [Turn(act=lambda: stage.submit(range(5)), ends=False)]
        stage.run()  # it is ended for its iterations, long after the watchdog's time
        kinds = stage.kinds()
        assert "attempt-scored" in kinds
        assert "agent-idle" not in kinds[: kinds.index("attempt-scored")]


def test_an_interrupted_phase_is_not_over(open_loop):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=lambda: setattr(stage, "stopping", True), ends=False)]
        stage.run()
        assert "agent-over" not in stage.kinds()


def test_a_resumed_run_goes_on_in_its_conversation(open_loop):
    with open_loop(*QUICK, "budgets.continuations=0") as loop:
        stage = Stage(loop, Talker(), [])
        stage.turns = [Turn(act=lambda: (stage.spoken(), setattr(stage, "stopping", True)), ends=False)]
        stage.run()
        stage.stopping = False
        loop.recover()
        stage.turns = [Turn()]
        stage.run()
        assert [command[0] for command in stage.commands] == ["launch", "proceed"]
        assert "interrupted" in stage.commands[1][2]
        assert stage.commands[0][1] == stage.commands[1][1]


@pytest.mark.parametrize(
    ("agent", "told", "commands", "kinds"),
    [
        (Mute(), (), [], ["agent-over"]),
        (Talker(), (), ["proceed"], ["agent-continued", "agent-over"]),
        (Talker(), ("agent-idle",), ["proceed"], ["agent-continued", "agent-over"]),
        (Talker(), ("interrupted",), ["proceed"], ["agent-continued", "agent-over"]),
    ],
    ids=["cannot-go-on", "stopped", "idle", "interrupted"],
)
def test_a_kill_right_after_the_agents_own_end_gives_it_no_other_turn_than_without(
    open_loop, agent, told, commands, kinds
):
    with open_loop(*QUICK, "budgets.continuations=1") as loop:
        stage = Stage(loop, agent, [])
        loop.record.events.append("agent-started", container="gone", turn=1)
        stage.spoken()
        for kind in told:
            loop.record.events.append(kind, **({"seconds": 1.0} if kind == "agent-idle" else {}))
        loop.record.events.append("agent-exited", code=0, oom_killed=False, turn=1)
        loop.recover()  # the kill came here
        seen = len(stage.kinds())
        stage.turns = [Turn() for _ in range(2 if told == ("interrupted",) else len(commands))]
        stage.run()
        if told == ("interrupted",):  # the turn was cut short: it is made up for, and costs no continuation
            assert [command[0] for command in stage.commands] == ["proceed", "proceed"]
        else:
            assert [command[0] for command in stage.commands] == commands
        later = [kind for kind in stage.kinds()[seen:] if kind in ("agent-continued", "agent-over")]
        assert later == kinds


class Gateway:
    def __init__(self, *given: object, **named: object) -> None:
        self.last = time.monotonic()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def alive(self) -> bool:
        return True

    def activity(self) -> SimpleNamespace:
        return SimpleNamespace(in_flight=0, last=self.last)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The model's desk, as the phase sees it."""
    seen = SimpleNamespace(
        denied=None, provider_failed=False, first_id=1, turn=0, close=lambda: None, turned_away=lambda: None
    )
    monkeypatch.setattr(agent_phase, "ModelDesk", lambda *_: seen)
    monkeypatch.setattr(agent_sockets, "GatewayServer", Gateway)
    return seen


def test_a_providers_outage_costs_the_agent_no_continuation(open_loop, desk):
    with open_loop(*QUICK, "budgets.continuations=1") as loop:
        stage = Stage(loop, Talker(), [], model=True)

        def outage() -> None:
            stage.spoken()
            desk.provider_failed = True

        stage.turns = [
            Turn(act=outage, code=1),
            Turn(code=1),
            Turn(act=lambda: setattr(desk, "provider_failed", False)),
        ]
        stage.turns += [Turn()]
        stage.run()
        whys = [event.data["why"] for event in loop.record.events.of("agent-continued")]
        assert whys == ["provider", "provider", "stopped"]
        assert "no fault of yours" in stage.commands[1][2]


def test_a_run_whose_provider_stays_down_stops_and_can_be_resumed(open_loop, desk):
    with open_loop(*QUICK) as loop:
        desk.provider_failed = True
        stage = Stage(loop, Talker(), [Turn(code=1) for _ in range(1 + agent_phase.OUTAGES)], model=True)
        with pytest.raises(ProviderUnreachable, match="harness resume"):
            stage.run()
        assert len(stage.boxes) == 1 + agent_phase.OUTAGES
        assert [event.data["what"] for event in loop.record.events.of("agent-lost")] == ["provider"]
        assert not agent_is_through(loop.record)


def test_a_spent_model_budget_ends_the_turn_and_the_phase(open_loop, desk):
    with open_loop(*QUICK) as loop:
        stage = Stage(loop, Talker(), [], model=True)
        stage.turns = [Turn(act=lambda: (stage.spoken(), setattr(desk, "denied", "model tokens")), ends=False)]
        stage.run()
        assert stage.boxes[0].ended_by_us
        assert stage.kinds()[-1] == "agent-over"


def test_exchanges_are_attributed_to_turns(open_loop, desk):
    with open_loop(*QUICK, "budgets.continuations=1") as loop:
        turns: list[int] = []
        stage = Stage(loop, Talker(), [], model=True)
        stage.turns = [
            Turn(act=lambda: (stage.spoken(), turns.append(desk.turn))),
            Turn(act=lambda: turns.append(desk.turn)),
        ]
        stage.run()
        assert turns == [1, 2]


def test_output_without_a_newline_is_bounded(open_loop, monkeypatch):
    monkeypatch.setattr(agent_phase, "MAX_LINE", 100)
    seen: list[int] = []
    monkeypatch.setattr(Talker, "is_final", lambda self, line: bool(seen.append(len(line))))
    with open_loop(*QUICK, "budgets.continuations=0") as loop:
        stage = Stage(loop, Talker(), [])

        def flood() -> None:
            for _ in range(50):
                stage.boxes[-1].say(b"x" * 10_000)
            stage.boxes[-1].say(b"\n")

        stage.turns = [Turn(act=flood)]
        stage.run()
    assert seen == [100]
