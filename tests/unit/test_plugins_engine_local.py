"""Slots of one machine, shared by several runs: real processes that queue, work, stop and die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import JsonValue

from curation_plugins.api import EngineSession
from curation_plugins.engines import slot_queue
from curation_plugins.engines.local import LocalEngine
from curation_plugins.engines.slot_queue import SlotQueue
from curation_plugins.engines.slots import Slot, discover
from curation_plugins.errors import ConfigInvalid, PluginLayerError, WorkStopped
from curation_plugins.jobs import TrainJob, TrainResult
from probe_bench import ProbeBench, quiet

WAITER = """
import sys, time
from pathlib import Path
from curation_plugins.engines.slot_queue import SlotQueue
from curation_plugins.engines.slots import Slot
folder, name, jobs, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
slots = [Slot(slot, 1) for slot in sys.argv[5].split(",")]
for job in range(jobs):
    with SlotQueue(slots, folder / "slots").acquire() as slot, (folder / "log").open("a") as log:
        log.write(f"{name} {slot.name} begins\\n"); log.flush()
        time.sleep(seconds)
        log.write(f"{name} {slot.name} ends\\n")
"""


class Machine:
    """A folder of slots and the processes that queue for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, *, jobs: int = 1, seconds: float = 0.0, slots: str = "cpu-0"
    ) -> subprocess.Popen[bytes]:
        arguments = [str(self.folder), name, str(jobs), str(seconds), slots]
        process = subprocess.Popen([sys.executable, "-c", WAITER, *arguments])
        self.processes.append(process)
        return process

    def lines(self) -> list[list[str]]:
        log = self.folder / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def begun(self) -> list[str]:
        return [name for name, _, what in self.lines() if what == "begins"]

    def tickets(self) -> int:
        return len(list((self.folder / "slots").glob("ticket-*")))

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, self.lines()
            time.sleep(0.01)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


def test_two_runs_alternate_on_one_slot(machine: Machine) -> None:
    with SlotQueue([Slot("cpu-0", 1)], machine.folder / "slots").acquire():
        runs = [machine.start(name, jobs=6, seconds=0.1) for name in "ab"]
        machine.wait(lambda: machine.tickets() == 2)
    assert [run.wait(60) for run in runs] == [0, 0]
    order = machine.begun()
    assert len(order) == 12
    # neither got the slot twice running while the other waited
    assert all(one != other for one, other in pairwise(order))


def test_slot_is_never_held_twice(machine: Machine) -> None:
    runs = [machine.start(name, jobs=4, seconds=0.02, slots="cpu-0,cpu-1") for name in "abcd"]
    assert [run.wait(60) for run in runs] == [0] * 4
    holder: dict[str, str] = {}
    for name, slot, what in machine.lines():
        if what == "begins":
            assert slot not in holder
            holder[slot] = name
        else:
            assert holder.pop(slot) == name


def test_slot_of_a_killed_run_is_free(machine: Machine) -> None:
    holder = machine.start("holder", seconds=600)
    machine.wait(lambda: machine.begun() == ["holder"])
    waiter = machine.start("waiter")
    machine.wait(lambda: machine.tickets() == 1)
    assert waiter.poll() is None
    holder.kill()
    assert waiter.wait(30) == 0
    assert machine.begun() == ["holder", "waiter"]


def test_killed_waiter_does_not_hold_up_those_behind_it(machine: Machine) -> None:
    with SlotQueue([Slot("cpu-0", 1)], machine.folder / "slots").acquire():
        first = machine.start("first")
        machine.wait(lambda: machine.tickets() == 1)
        second = machine.start("second")
        machine.wait(lambda: machine.tickets() == 2)
        first.kill()
        first.wait()
    assert second.wait(30) == 0
    assert machine.begun() == ["second"]
    assert machine.tickets() == 0


def test_stopped_waiter_is_passed_over(machine: Machine) -> None:
    queue = SlotQueue([Slot("cpu-0", 1)], machine.folder / "slots")
    with queue.acquire():
        first = machine.start("first")
        machine.wait(lambda: machine.tickets() == 1)
        first.send_signal(signal.SIGSTOP)
        (ticket,) = queue.folder.glob("ticket-*")
        long_ago = time.monotonic() - 2 * slot_queue.STOPPED_SECONDS
        os.utime(ticket, (long_ago, long_ago))
    second = machine.start("second")
    assert second.wait(30) == 0
    first.send_signal(signal.SIGCONT)
    assert first.wait(30) == 0
    assert machine.begun() == ["second", "first"]


def test_a_ticket_is_signed_on_a_clock_that_nobody_sets(machine: Machine) -> None:
    """A wall clock that is set back would keep a stopped waiter in front for as long as it was set back."""
    queue = SlotQueue([Slot("cpu-0", 1)], machine.folder / "slots")
    with queue.acquire():
        machine.start("waiter")
        machine.wait(lambda: machine.tickets() == 1)
        (ticket,) = queue.folder.glob("ticket-*")
        assert abs(ticket.stat().st_mtime - time.monotonic()) < slot_queue.STOPPED_SECONDS


def test_those_who_wait_are_served_in_order(machine: Machine) -> None:
    with SlotQueue([Slot("cpu-0", 1)], machine.folder / "slots").acquire():
        for count, name in enumerate("abc", start=1):
            machine.start(name)
            machine.wait(lambda count=count: machine.tickets() == count)
    assert [process.wait(30) for process in machine.processes] == [0, 0, 0]
    assert machine.begun() == ["a", "b", "c"]


def test_waiter_for_another_slot_is_not_held_up(machine: Machine) -> None:
    with SlotQueue([Slot("gpu-0", 1)], machine.folder / "slots").acquire():
        machine.start("first", slots="gpu-0")
        machine.wait(lambda: machine.tickets() == 1)
        assert machine.start("other", slots="gpu-1").wait(30) == 0
        assert machine.begun() == ["other"]


def test_preferred_slot_is_taken_when_free(tmp_path: Path) -> None:
    queue = SlotQueue([Slot("cpu-0", 1), Slot("cpu-1", 1)], tmp_path / "slots")
    with queue.acquire(prefer="cpu-1") as one, queue.acquire(prefer="cpu-1") as other:
        assert (one.name, other.name) == ("cpu-1", "cpu-0")


def test_waiting_is_told_once_and_can_be_given_up(tmp_path: Path) -> None:
    queue = SlotQueue([Slot("cpu-0", 1)], tmp_path / "slots")
    told: list[str] = []
    patience = iter([False, False, True])
    with queue.acquire(waiting=lambda: told.append("free at once")):
        with (
            pytest.raises(WorkStopped),
            queue.acquire(waiting=lambda: told.append("waits"), stopped=lambda: next(patience)),
        ):
            pass
        assert not list(queue.folder.glob("ticket-*"))
    assert told == ["waits"]


def test_ticket_left_by_a_dead_run_is_removed(tmp_path: Path) -> None:
    queue = SlotQueue([Slot("cpu-0", 1)], tmp_path / "slots")
    queue.folder.mkdir()
    (queue.folder / "ticket-00000041").write_text("cpu-0")
    with queue.acquire() as slot:
        assert slot.name == "cpu-0"
    assert [path.name for path in queue.folder.iterdir()] == ["slot-cpu-0"]


def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 12345, 12345)
    with (
        pytest.raises(PluginLayerError, match="belongs to user 12345"),
        SlotQueue([Slot("cpu-0", 1)], folder).acquire(),
    ):
        pass


def test_time_in_the_queue_is_not_the_jobs(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("workers.seconds=3", "workers.silence_seconds=3"))
    (tmp_path / "slots").mkdir()
    machine = Machine(tmp_path)
    holder = machine.start("holder", seconds=4)
    machine.wait(lambda: machine.begun() == ["holder"])
    heard: list[str] = []
    try:
        with bench.open() as session:
            spec, job = bench.task.worker("train"), bench.train_job()
            session.call(spec, "train", job, TrainResult, lambda what, done: heard.append(what))
    finally:
        holder.kill()
        holder.wait()
    assert heard[0] == "waiting for a slot"
    (taken,) = bench.named("slot-taken")
    assert taken["waited_seconds"] > bench.task.config.workers.seconds
    assert not bench.named("job-failed")


def test_worker_follows_its_slot(tmp_path: Path) -> None:
    gpus = [Slot("gpu-0", 1), Slot("gpu-1", 1)]
    bench = ProbeBench(tmp_path, slots=gpus)
    queue = SlotQueue(gpus, tmp_path / "slots")
    with bench.open() as session:
        bench.train(session)
        bench.train(session)
        with queue.acquire(prefer="gpu-0"):
            bench.train(session)
        bench.train(session)
    done = bench.named("job-done")
    assert [details["slot"] for details in done] == ["gpu-0", "gpu-0", "gpu-1", "gpu-1"]
    pids = [details["pid"] for details in done]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert [details["why"] for details in bench.named("worker-ended")] == ["moved to another slot", "the run is over"]


def test_processor_slots_share_a_warm_worker(tmp_path: Path) -> None:
    processors = [Slot("cpu-0", 1), Slot("cpu-1", 1)]
    bench = ProbeBench(tmp_path, slots=processors)
    with bench.open() as session:
        bench.train(session)
        with SlotQueue(processors, tmp_path / "slots").acquire(prefer="cpu-0"):
            bench.train(session)
    done = bench.named("job-done")
    assert [details["slot"] for details in done] == ["cpu-0", "cpu-1"]
    assert done[0]["pid"] == done[1]["pid"]


GPUS = [Slot(f"gpu-{number}", 1) for number in range(3)]


def side_by_side(bench: ProbeBench, session: EngineSession) -> list[tuple[TrainJob, TrainResult]]:
    """A training for every slot, seed 0 on; each asked for by a thread of its own."""
    jobs = [bench.train_job(seed) for seed in range(len(bench.slots))]

    def train(job: TrainJob) -> tuple[TrainJob, TrainResult]:
        return job, session.call(bench.task.worker("train"), "train", job, TrainResult, quiet)

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(train, jobs))


def test_calls_of_several_threads_are_done_side_by_side_and_give_what_one_after_another_gives(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.delay_seconds=0.5",), slots=GPUS)
    with bench.open() as session:
        assert session.side_by_side() == len(GPUS)
        together = side_by_side(bench, session)
        first = [name for name, _ in bench.events]
        again = side_by_side(bench, session)
    # each has its slot before any is done; the workers are kept, one on each slot
    assert first.index("job-done") > [n for n, name in enumerate(first) if name == "slot-taken"][-1]
    used = [{(done["slot"], done["pid"]) for done in bench.named("job-done")[at : at + 3]} for at in (0, 3)]
    assert used[0] == used[1]
    assert len({slot for slot, _ in used[0]}) == len({pid for _, pid in used[0]}) == len(GPUS)
    bench.slots = GPUS[:1]
    with bench.open() as session:
        alone = [bench.train(session, seed) for seed in range(len(GPUS))]
    for done in zip(together, again, alone, strict=True):
        assert len({(job.out / result.model).read_bytes() for job, result in done}) == 1


def test_closing_ends_all_that_are_under_way(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.delay_seconds=600",), slots=GPUS)
    session = bench.open()
    heard: list[str] = []

    def train(number: int) -> None:
        job = bench.train_job(number)
        try:
            session.call(bench.task.worker("train"), "train", job, TrainResult, quiet)
        except WorkStopped as error:
            heard.append(type(error).__name__)

    with ThreadPoolExecutor(4) as threads:  # the fourth waits for a slot
        asked = [threads.submit(train, number) for number in range(4)]
        while len(bench.named("worker-started")) < len(GPUS):
            time.sleep(0.01)
        session.close()
        assert all(one.done() or one.exception(1) is None for one in asked)
    assert heard == ["WorkStopped"] * 4
    pids = [details["pid"] for details in bench.named("worker-started")]
    assert sorted(details["pid"] for details in bench.named("worker-ended")) == sorted(pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_failure_of_one_leaves_the_others_alone(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=crash-once",), slots=GPUS)
    with bench.open() as session:
        done = side_by_side(bench, session)
    assert len(done) == len(GPUS)
    assert bench.named("job-failed")
    assert all(details["try"] == 1 for details in bench.named("job-failed"))


def test_side_by_side_no_slot_takes_the_worker_of_another(tmp_path: Path) -> None:
    """Between two of its jobs a slot's worker is idle; a job on another slot starts one of its own meanwhile."""
    bench = ProbeBench(tmp_path, ("recipe.delay_seconds=0.5",), slots=GPUS)
    queue = SlotQueue(GPUS, tmp_path / "slots")
    told: list[str] = []

    def train(seed: int) -> None:
        job = bench.train_job(seed)
        session.call(bench.task.worker("train"), "train", job, TrainResult, lambda what, done: told.append(what))

    with bench.open() as session, ThreadPoolExecutor(2) as threads:
        bench.train(session)  # its worker rests on gpu-0
        with queue.acquire(prefer="gpu-0"):
            with queue.acquire(prefer="gpu-1"), queue.acquire(prefer="gpu-2"):
                asked = [threads.submit(train, seed) for seed in (1, 2)]
                while told.count("waiting for a slot") < 2:
                    time.sleep(0.01)
            for one in asked:
                one.result()
        with queue.acquire(prefer="gpu-1"), queue.acquire(prefer="gpu-2"):
            bench.train(session)
    done = bench.named("job-done")
    assert {details["slot"] for details in done[1:3]} == {"gpu-1", "gpu-2"}
    assert done[3]["pid"] == done[0]["pid"]


def test_a_worker_whose_end_of_a_job_could_not_be_told_is_not_left_behind(tmp_path: Path) -> None:
    """The record's disk is full, say."""
    bench = ProbeBench(tmp_path)
    pids: list[int] = []

    def on_event(name: str, details: Mapping[str, JsonValue]) -> None:
        if name == "worker-started":
            pids.append(int(str(details["pid"])))
        if name == "job-done":
            raise OSError(28, "No space left on device")

    engine = LocalEngine(bench.slots, tmp_path / "slots")
    session = engine.open(run_id="r", log=tmp_path / "log", config=bench.task.config, on_event=on_event)
    with pytest.raises(OSError, match="No space left"):
        bench.train(session)
    session.close()
    assert len(pids) == 1
    assert not Path(f"/proc/{pids[0]}").exists()


def test_events_are_plain_json(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=crash-once",))
    with bench.open() as session:
        bench.train(session)
    names = [name for name, _ in bench.events]
    job = ["slot-taken", "worker-started"]
    assert names == [*job, "worker-ended", "job-failed", *job, "job-done", "worker-ended"]
    assert json.loads(json.dumps(bench.events))


def test_closed_session_takes_no_job(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    session = bench.open()
    session.close()
    with pytest.raises(WorkStopped):
        bench.train(session)
    assert not bench.named("worker-started")


def fake_nvidia_smi(folder: Path, script: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("visible", "script", "names"),
    [
        (None, "printf '0\\n1\\n'", ["gpu-0", "gpu-1"]),
        ("1", "printf '0\\n1\\n'", ["gpu-1"]),
        ("GPU-3ab2,GPU-77", "printf '0\\n1\\n'", ["gpu-GPU-3ab2", "gpu-GPU-77"]),
        ("", "printf '0\\n'", None),
        ("-1", "printf '0\\n'", None),
        (None, "echo 'no driver' >&2; exit 9", None),
        ("0", "exit 9", None),
    ],
)
def test_visible_gpus_are_the_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, script: str, names: list[str] | None
) -> None:
    monkeypatch.setenv("PATH", fake_nvidia_smi(tmp_path, script), prepend=os.pathsep)
    slots = discover({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    found = [slot.name for slot in slots]
    assert found == names if names else all(name.startswith("cpu-") for name in found)
    assert all(slot.threads >= 1 for slot in slots)


def test_processors_make_slots_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for processors, expected in ((1, [("cpu-0", 1)]), (2, [("cpu-0", 2)]), (5, [("cpu-0", 2), ("cpu-1", 2)])):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=processors: set(range(count)))
        assert [(slot.name, slot.threads) for slot in discover({})] == expected


@pytest.mark.parametrize(
    "named", ["cpu", "cpu-0,cpu-0", "gpu-../../x", "tpu-0", "cpu-", "cpu-0+1", "gpu-0+", "gpu-" + "1" * 200]
)
def test_nonsense_in_the_slots_variable_is_refused(named: str) -> None:
    with pytest.raises(ConfigInvalid, match="CURATION_SLOTS"):
        discover({"CURATION_SLOTS": named})


def test_named_slots_bind_a_worker() -> None:
    (gpu, _) = discover({"CURATION_SLOTS": "gpu-3, gpu-5"})
    assert gpu.environment()["CUDA_VISIBLE_DEVICES"] == "3"
    (cpu,) = discover({"CURATION_SLOTS": "cpu-0"})
    assert cpu.environment()["CUDA_VISIBLE_DEVICES"] == ""
    assert (gpu.cards, cpu.cards) == (1, 0)


def test_a_slot_may_be_of_several_cards() -> None:
    (four, one) = discover({"CURATION_SLOTS": "gpu-0+1+2+3,gpu-GPU-3ab2"})
    assert (four.cards, one.cards) == (4, 1)
    assert four.environment()["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"


def test_constructing_the_engine_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATION_SLOTS", "nonsense")
    monkeypatch.setenv("CURATION_SLOTS_DIR", str(tmp_path / "slots"))
    LocalEngine()
    assert not list(tmp_path.iterdir())


def test_closing_twice_at_once_ends_every_worker_once(tmp_path: Path) -> None:
    """As a Ctrl-C does while a worker rests: in a thread of its own, and at the run's end."""
    bench = ProbeBench(tmp_path)
    for _ in range(5):
        session = bench.open()
        bench.train(session)  # its worker rests
        with ThreadPoolExecutor(4) as threads:
            for closing in [threads.submit(session.close) for _ in range(4)]:
                closing.result()
    started, ended = bench.named("worker-started"), bench.named("worker-ended")
    assert [event["pid"] for event in started] == [event["pid"] for event in ended]
