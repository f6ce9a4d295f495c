"""The baseline's program as the container runs it: own process, real `curate`, real submit server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation_plugins.agents.programs import FOLDER
from curation_sandbox.submit_desk import HandlerError
from made_host import ROWS, ROWS_MAX, Host, Seat, Submission


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    pool, workspace = tmp_path / "pool", tmp_path / "workspace"
    workspace.mkdir()
    write_pool(pool, np.random.default_rng(4))
    # a socket's path is short or refused, and pytest's folders are long
    with tempfile.TemporaryDirectory(prefix="cur") as sockets:
        yield Seat(pool, workspace, Path(sockets))


def write_pool(folder: Path, rng: np.random.Generator) -> None:
    """Three sources, every text twice, a column for each signal, no pictures."""
    folder.mkdir()
    with (folder / "rows.jsonl").open("w") as lines:
        for row in range(ROWS):
            turns = [
                {"from": "human", "value": "what is it?"},
                {"from": "gpt", "value": f"answer {row // 2}"},
            ]
            record = {"id": str(row), "source": f"s{row % 3}", "conversations": turns}
            lines.write(json.dumps(record) + "\n")
    np.savez(folder / "signals.npz", similarity=rng.normal(size=ROWS), answer_loss=rng.random(ROWS))


def reproduce(submission: Submission, pool: Path, folder: Path, history: Path | None = None) -> list[int]:
    """What the policy that was handed in selects by itself, elsewhere."""
    for name, content in submission.policy.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    out = folder / "out.txt"
    command = [sys.executable, "-I", "-c", _RUN_AS_SCRIPT, str(folder / "policy.py")]
    given = [] if history is None else ["--history", str(history)]
    subprocess.run([*command, "--pool", str(pool), *given, "--seed", "11", "--out", str(out)], check=True, cwd=pool)
    return [int(line) for line in out.read_text().split()]


# -I keeps this checkout off the path: the policy has to stand alone, as "python policy.py" anywhere
_RUN_AS_SCRIPT = """
import pathlib, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def names(workspace: Path) -> list[str]:
    return [entry["method"] for entry in journal(workspace) if entry["outcome"] == "scored"]


def journal(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "journal.jsonl").read_text().splitlines()]


def test_every_method_is_tried_once_and_its_policy_makes_the_same_rows_again(seat: Seat, tmp_path: Path) -> None:
    host = Host(iterations=8)
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    assert names(seat.workspace) == [
        "random",
        "source-balanced",
        "similarity-top",
        "loss-top",
        "loss-band",
        "near-duplicates",
        "k-center",
        "combined",
    ]
    assert len(host.submissions) == 8
    for place, submission in enumerate(host.submissions):
        assert len(set(submission.rows)) == len(submission.rows) <= ROWS_MAX
        assert "arXiv" in submission.note
        again = reproduce(submission, seat.pool, tmp_path / f"again-{place}")
        assert again == submission.rows
    assert "nothing more can be submitted" in ended.stdout
    assert len([line for line in ended.stdout.splitlines() if " ± 0.0100" in line]) >= 8


def test_a_policy_holds_the_code_of_its_own_method_only(seat: Seat) -> None:
    host = Host(iterations=2)
    seat.run(host)
    assert set(host.submissions[0].policy) == {
        *("policy.py", "manifest.json"),
        *(f"selection/{n}.py" for n in ("__init__", "method", "pair_files", "pool")),
        *(f"selection/{n}.py" for n in ("random_rows", "rows_file", "standalone", "tables")),
    }
    assert "selection/loss_band.py" in host.submissions[1].policy
    assert "selection/k_center.py" not in host.submissions[1].policy


def test_two_runs_with_one_seed_submit_the_same(seat: Seat) -> None:
    first, second = Host(iterations=3), Host(iterations=3)
    seat.run(first)
    shutil.rmtree(seat.workspace)
    seat.workspace.mkdir()
    seat.run(second)
    assert [s.rows for s in first.submissions] == [s.rows for s in second.submissions]
    assert [s.policy for s in first.submissions] == [s.policy for s in second.submissions]


def test_an_attempt_that_the_harness_failed_at_does_not_stop_the_program(seat: Seat) -> None:
    host = Host(iterations=3, failing=frozenset({2}))
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    assert len(host.submissions) == 4  # three, and the one that was given back
    assert "attempt 2 failed on the host's side: a worker died; going on" in ended.stdout


def test_a_program_that_starts_again_goes_on_where_it_stopped(seat: Seat) -> None:
    host = Host(iterations=3)
    seat.run(host)
    before = [submission.rows for submission in host.submissions]
    # killed while attempt 3 was trained: its score was not written down
    lines = (seat.workspace / "journal.jsonl").read_text().splitlines()
    (seat.workspace / "journal.jsonl").write_text("".join(line + "\n" for line in lines[:-1]))
    again = seat.run(host)
    assert again.returncode == 0, again.stderr
    assert [submission.rows for submission in host.submissions] == before
    assert journal(seat.workspace)[-1]["outcome"] == "scored"
    assert journal(seat.workspace)[-1]["attempt"] == 3


def test_three_refusals_in_a_row_end_the_program_in_order(seat: Seat) -> None:
    ended = seat.run(Host(iterations=8, refusing=True))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("refused: not this one") == 3
    assert "giving up after 3 steps" in ended.stdout


def test_a_policy_that_is_run_again_for_long_is_asked_for_under_one_key(seat: Seat) -> None:
    host = Host(iterations=1, checking=3)
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    assert len(host.submissions) == 1
    assert len(host.keys) == 4
    assert len(set(host.keys)) == 1


def test_a_spent_budget_ends_the_program_in_order(seat: Seat) -> None:
    spent = HandlerError(409, "budget-spent", "agent time is spent")
    ended = seat.run(Host(iterations=8, raising=spent))
    assert ended.returncode == 0, ended.stderr
    assert "agent time is spent" in ended.stdout


def test_a_failure_of_the_harness_at_a_submission_does_not_stop_the_program(seat: Seat) -> None:
    ours = HandlerError(500, "ours", "disk full")
    ended = seat.run(Host(iterations=8, raising=ours))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("ours: disk full") == 3


def test_a_signal_that_the_pool_lacks_is_asked_of_the_host_and_read_from_the_history(
    seat: Seat, tmp_path: Path
) -> None:
    with np.load(seat.pool / "signals.npz") as archive:
        loss = archive["answer_loss"].tolist()
        np.savez(seat.pool / "signals.npz", similarity=archive["similarity"])
    host = Host(iterations=1, signals={"answer-loss": loss, "other": loss})
    ended = seat.run(host, "--only", "loss-top")
    assert ended.returncode == 0, ended.stderr
    assert host.asked == ["answer-loss"]
    limit = np.quantile(loss, 0.95)
    hardest = sorted(
        [row for row in sorted(range(ROWS), key=lambda row: -loss[row]) if loss[row] <= limit][:ROWS_MAX]
    )
    (submitted,) = host.submissions
    assert submitted.rows == hardest
    assert reproduce(submitted, seat.pool, tmp_path / "again", host.bought) == hardest
    assert not any(name.endswith(".npz") for name in submitted.policy), "a policy carries no data"


def test_methods_whose_signals_are_nowhere_are_left_out_and_named(seat: Seat) -> None:
    (seat.pool / "signals.npz").unlink()
    host = Host(iterations=8)
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    assert "leaving out loss-top: the pool has no loss" in ended.stdout
    assert "leaving out combined: the pool has no similarity and no loss" in ended.stdout
    assert {*names(seat.workspace)} == {
        "random",
        "source-balanced",
        "length-top",
        "near-duplicates",
        "k-center",
    }
    assert host.finished  # the plan came to its end before the iterations did


def test_random_draws_fresh_rows_every_iteration(seat: Seat) -> None:
    host = Host(iterations=5)
    ended = seat.run(host, "--only", "random")
    assert ended.returncode == 0, ended.stderr
    assert len({tuple(submission.rows) for submission in host.submissions}) == 5
    assert names(seat.workspace) == ["random"] * 5


def test_random_ends_when_every_draw_is_the_same_rows(seat: Seat) -> None:
    lines = (seat.pool / "rows.jsonl").read_text().splitlines()[:ROWS_MAX]
    (seat.pool / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (seat.pool / "signals.npz").unlink()
    host = Host(iterations=5, pool_rows=ROWS_MAX)
    ended = seat.run(host, "--only", "random")
    assert ended.returncode == 0, ended.stderr
    assert len(host.submissions) == 1
    assert "giving up" in ended.stdout


def test_a_pool_of_another_size_than_the_task_says_ends_with_an_error_and_no_submission(
    seat: Seat,
) -> None:
    (seat.pool / "rows.jsonl").unlink()
    (seat.pool / "signals.npz").unlink()
    host = Host(iterations=5)
    ended = seat.run(host)
    assert ended.returncode == 1
    assert f"0 rows were found in {seat.pool}, and the task says {ROWS}" in ended.stderr
    assert host.submissions == []


def test_a_host_that_does_not_answer_ends_with_an_error(seat: Seat) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "baseline", "--curate", "false", "--pool", str(seat.pool)],
        cwd=seat.workspace,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "exit code 1, no output" in ended.stderr


def test_lists_and_target_texts_of_the_user_s_go_with_the_policy(seat: Seat, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    np.savez(extra / "icons.npz", icons=np.arange(ROWS) % 4 == 0)
    (extra / "target.txt").write_text("answer 7\n")
    for method in ("icons", "dsir"):
        host = Host(iterations=1)
        (seat.workspace / "journal.jsonl").unlink(missing_ok=True)
        ended = seat.run(host, "--only", method, "--extra", str(extra))
        assert ended.returncode == 0, ended.stderr
        (submitted,) = host.submissions
        assert len(submitted.rows) == ROWS_MAX
        assert json.loads(submitted.policy["manifest.json"])["looks_at_target_data"] is True
        assert reproduce(submitted, seat.pool, tmp_path / f"again-{method}") == submitted.rows
        if method == "icons":
            assert all(row % 4 == 0 for row in submitted.rows)


def test_a_method_that_hands_in_records_is_left_out_where_rows_are_asked_for(seat: Seat) -> None:
    ended = seat.run(Host(iterations=1), "--only", "template-rewrite")
    assert ended.returncode == 0, ended.stderr
    assert "leaving out template-rewrite: it hands in records, and the task takes rows" in ended.stdout


def test_a_signal_that_the_host_does_not_give_skips_the_method_and_not_the_run(seat: Seat) -> None:
    (seat.pool / "signals.npz").unlink()
    host = Host(iterations=3, signals={"answer-loss": [0.5] * ROWS})
    host.refused_signals = HandlerError(403, "budget-spent", "the 600 seconds for signals are spent")
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    assert "skipped: no signal: budget-spent: the 600 seconds for signals are spent" in ended.stdout
    assert len(host.submissions) == 3
