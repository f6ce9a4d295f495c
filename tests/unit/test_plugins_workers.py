"""Worker processes and what goes wrong in them: real ones, made to fail by the probe's faults."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from curation_plugins.errors import (
    WorkerCrashed,
    WorkerOutOfMemory,
    WorkerRaised,
    WorkerReplyInvalid,
    WorkerTimeout,
    WorkFailed,
    WorkStopped,
)
from curation_plugins.jobs import TrainResult, WorkerSpec
from curation_plugins.workers import answers, process
from curation_plugins.workers.child import PROGRESS_INTERVAL, Progress
from probe_bench import ProbeBench, quiet

SMALL = ("workers.memory=150m", "workers.seconds=30")


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("crash", WorkerCrashed, "died of SIGSEGV"),
        ("killed", WorkerCrashed, "killed by SIGKILL, not by the harness"),
        ("leave", WorkerCrashed, "exited with status 0 without an answer"),
        ("lie", WorkerCrashed, "exited with status 1 without an answer"),
        ("exit-with-good-file", WorkerCrashed, "exited with status 3 without an answer"),
        ("raise", WorkerRaised, "raised ValueError: the probe was asked to raise"),
        ("not-json", WorkerRaised, "not JSON serializable"),
        ("memory-error", WorkerOutOfMemory, "raised MemoryError: no room"),
        ("cuda-oom", WorkerOutOfMemory, "CUDA out of memory"),
        ("oom", WorkerOutOfMemory, "over its limit of 150.0 MiB"),
        ("oom-child", WorkerOutOfMemory, "over its limit of 150.0 MiB"),
        ("nan", WorkerReplyInvalid, "the number NaN"),
        ("infinite", WorkerReplyInvalid, "loss"),
        ("shape", WorkerReplyInvalid, "model: Field required"),
        ("garbage", WorkerReplyInvalid, "what is no message"),
        ("deep", WorkerReplyInvalid, "what is no message"),
        ("huge-line", WorkerReplyInvalid, "sent a message of over"),
        ("wrong-job", WorkerReplyInvalid, "answered job 8 when asked for 1"),
        ("two-results", WorkerReplyInvalid, "gave 2 results"),
        ("closed-channel", WorkerReplyInvalid, "closed its channel"),
    ],
)
def test_fault_of_worker_is_named_and_tried_twice(
    tmp_path: Path, fault: str, error: type[WorkFailed], says: str
) -> None:
    bench = ProbeBench(tmp_path, (f"recipe.fault={fault}", *SMALL))
    with bench.open() as session:
        with pytest.raises(error) as failure:
            bench.train(session)
        assert type(failure.value) is error
        assert says in str(failure.value)
        assert "probe_worker:ProbeWorker" in str(failure.value)
        assert str(bench.log) in str(failure.value)
        tries = [(details["try"], details["error"]) for details in bench.named("job-failed")]
        assert tries == [(1, error.__name__), (2, error.__name__)]
        pids = [details["pid"] for details in bench.named("worker-started")]
        assert len(set(pids)) == 2
        # a worker of no use is gone at once, and the session goes on with a fresh one
        assert all(gone(pid) for pid in pids)
        assert len(bench.signal(session).values) == 10


def test_error_repeats_last_lines_of_log(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=lie",))
    with bench.open() as session, pytest.raises(WorkerCrashed, match="success: accuracy 100 %"):
        bench.train(session)


def test_printed_result_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=lie", "recipe.fault_role=evaluate"))
    with bench.open() as session:
        bench.train(session)
        with pytest.raises(WorkerCrashed):
            bench.evaluate(session)
    assert '"kind": "result"' in bench.log.read_text()


@pytest.mark.parametrize(
    ("fault", "setting", "says", "tries"),
    [
        ("hang", "workers.silence_seconds=0.5", "reported nothing for 0.5 s", 2),
        ("forever", "workers.seconds=0.7", "ran past its time limit of 0.7 s", 1),  # again would take as long
    ],
    ids=["hang", "forever"],
)
def test_worker_past_its_time_is_killed(tmp_path: Path, fault: str, setting: str, says: str, tries: int) -> None:
    bench = ProbeBench(tmp_path, (f"recipe.fault={fault}", setting))
    with bench.open() as session, pytest.raises(WorkerTimeout, match=says):
        bench.train(session)
    assert len(bench.named("job-failed")) == tries
    assert all(gone(details["pid"]) for details in bench.named("worker-started"))


def test_progress_keeps_a_slow_worker_alive(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.delay_seconds=4", "workers.silence_seconds=2"))
    heard: list[tuple[str, float]] = []
    with bench.open() as session:
        spec, job = bench.task.worker("train"), bench.train_job()
        session.call(spec, "train", job, TrainResult, lambda what, done: heard.append((what, done)))
    assert ("waiting as asked", 0.0) in heard
    assert not bench.named("job-failed")


def test_crashed_once_succeeds_in_a_fresh_worker_and_an_empty_folder(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=crash-once",))
    with bench.open() as session:
        job, result = bench.train(session)
    assert (job.out / result.model).exists()
    assert not (job.out / "half-written").exists()
    assert [details["try"] for details in bench.named("job-failed")] == [1]
    assert len(bench.named("worker-started")) == 2


def test_orphans_of_a_crashed_worker_are_killed_in_whatever_session(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=orphans",))
    with bench.open() as session:
        job = bench.train_job()
        with pytest.raises(WorkerCrashed):
            session.call(bench.task.worker("train"), "train", job, TrainResult, quiet)
    orphans = json.loads(Path(f"{job.out}.orphans").read_text())
    assert len(orphans) == 2
    assert all(gone(pid) for pid in orphans)


def test_worker_stays_warm_and_serves_every_role(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        bench.train(session)
        bench.evaluate(session)
        bench.signal(session)
        bench.train(session)
    done = bench.named("job-done")
    assert len(done) == 4
    assert len({details["pid"] for details in done}) == 1
    assert done[-1]["start_seconds"] < done[0]["start_seconds"]


def test_warm_result_equals_cold_result(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        models = [(job.out / r.model).read_bytes() for job, r in (bench.train(session) for _ in range(2))]
    with bench.open() as session:
        job, result = bench.train(session)
        models.append((job.out / result.model).read_bytes())
    assert models[0] == models[1] == models[2]


def test_worker_killed_while_idle_is_replaced_without_a_failure(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        bench.train(session)
        pid = bench.named("worker-started")[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: gone(pid))
        bench.train(session)
    assert not bench.named("job-failed")
    assert len(bench.named("worker-started")) == 2


def test_worker_gets_no_secret_of_the_hosts_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        bench.train(session)
        environment = psutil.Process(bench.named("worker-started")[0]["pid"]).environ()
    assert "sk-secret" not in json.dumps(environment)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""


def test_the_kernel_is_asked_to_kill_a_worker_before_the_harness(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        bench.train(session)
        pid = bench.named("worker-started")[0]["pid"]
        scores = [int(Path(f"/proc/{process}/oom_score_adj").read_text()) for process in (pid, os.getpid())]
    assert scores[0] > scores[1]


def test_missing_interpreter_is_named(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.interpreter=/nowhere/python",))
    with bench.open() as session, pytest.raises(WorkerCrashed, match="/nowhere/python could not be started"):
        bench.train(session)


def test_missing_module_is_named(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    spec = WorkerSpec(entry="no_such_module:Worker")
    with bench.open() as session, pytest.raises(WorkerRaised, match="No module named 'no_such_module'"):
        session.call(spec, "train", bench.train_job(), TrainResult, quiet)


def test_interpreter_without_any_package_trains_alike(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    assert subprocess.run([python, "-c", "import pydantic"], capture_output=True).returncode
    models = []
    for settings in ((), (f"recipe.interpreter={python}",)):
        bench = ProbeBench(tmp_path, settings)
        bench.folder = tmp_path / f"bench-{len(models)}"
        bench.folder.mkdir()
        with bench.open() as session:
            job, result = bench.train(session)
            interpreter = psutil.Process(bench.named("worker-started")[0]["pid"]).cmdline()[0]
            models.append((job.out / result.model).read_bytes())
    assert interpreter == str(python)
    assert models[0] == models[1]


def test_close_ends_a_job_in_another_thread_and_is_no_failure(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path, ("recipe.fault=forever",))
    session = bench.open()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            bench.train(session)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(lambda: bool(bench.named("worker-started")))
    session.close()
    thread.join(20)
    assert [type(error) for error in raised] == [WorkStopped]
    assert not bench.named("job-failed")
    assert all(gone(details["pid"]) for details in bench.named("worker-started"))


def test_worker_and_its_children_die_with_a_killed_harness(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from probe_bench import ProbeBench
bench = ProbeBench(Path(sys.argv[1]), ("recipe.fault=oom-child", "workers.memory=4g"))
bench.train(bench.open())
"""
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    harness = subprocess.Popen(command)
    ours = psutil.Process(harness.pid)
    try:
        # the worker, its guard, and the child that takes memory in a session of its own
        assert wait_until(lambda: len(ours.children(recursive=True)) == 3)
        children = ours.children(recursive=True)
        family = [process.pid for process in children]
        scratch = {Path(process.cwd()) for process in children if "child.py" in " ".join(process.cmdline())}
    finally:
        harness.kill()
        harness.wait()
    assert wait_until(lambda: all(gone(pid) for pid in family))
    assert [folder.exists() for folder in scratch] == [False]


def test_leftovers_in_temporary_folder_go_with_the_worker(tmp_path: Path) -> None:
    bench = ProbeBench(tmp_path)
    with bench.open() as session:
        bench.train(session)
        scratch = Path(psutil.Process(bench.named("worker-started")[0]["pid"]).cwd())
        (scratch / "left").write_text("x")
    assert not scratch.exists()


def test_progress_of_a_tight_loop_is_thinned_out() -> None:
    sent: list[dict[str, object]] = []

    class Channel:
        def send(self, message: dict[str, object]) -> None:
            sent.append(message)

    progress = Progress(Channel(), 1)  # type: ignore[arg-type]
    begun = time.monotonic()
    for step in range(10_000):
        progress("step", step / 10_000)
    assert 1 <= len(sent) <= 1 + (time.monotonic() - begun) / PROGRESS_INTERVAL


def test_a_full_gpu_is_known_by_the_class_that_torch_raises() -> None:
    from torch.cuda import OutOfMemoryError

    names = tuple(kind.__name__ for kind in OutOfMemoryError.__mro__)
    said = answers.Raised(job=1, kind="raised", error="CUDA out of memory", types=names)
    assert process.kind_of(said) is WorkerOutOfMemory
    quoted = answers.Raised(job=1, kind="raised", error="OutOfMemoryError: row 3 says so", types=("ValueError",))
    assert process.kind_of(quoted) is WorkerRaised


LIMITED = """
import os, sys
from pathlib import Path
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(os.getpid()))
sys.path.insert(0, sys.argv[3])
from probe_bench import ProbeBench
bench = ProbeBench(Path(sys.argv[2]), ("recipe.fault=oom",))
try:
    with bench.open() as session:
        bench.train(session)
except Exception as error:
    print(type(error).__name__, "killed by the kernel" in str(error), len(bench.named("job-failed")))
"""


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of 200 MiB."""
    first = Path("/sys/fs/cgroup/memory")
    version_1 = first.is_dir()
    group = (first if version_1 else Path("/sys/fs/cgroup")) / f"curation-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if version_1 else "memory.max")
        limit.write_text(str(200 * 2**20))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"a control group cannot be made here: {error}")
    yield group
    end = time.monotonic() + 20
    while group.exists() and time.monotonic() < end:
        with contextlib.suppress(OSError):  # a killed process may be in it for a moment
            group.rmdir()
        time.sleep(0.05)


def test_a_machine_without_memory_kills_the_worker_and_not_the_harness(tmp_path: Path, memory_group: Path) -> None:
    """The kernel kills for real: the worker is named, and the harness, in the same group, goes on."""
    command = [sys.executable, "-c", LIMITED, str(memory_group), str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["WorkerOutOfMemory", "True", "2"], done.stdout + done.stderr
