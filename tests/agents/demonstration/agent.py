"""A scripted agent for the demonstration of ``harness diagnose``: no model, no key, the real way through the host.

    python3 /agent/agent.py tuner       ten attempts that turn the knobs of one policy (and a refused one)
    python3 /agent/agent.py adapter     ten attempts that each instantiate method cards

It reads cards, buys signals, writes a policy, runs it, hands it in and reads the score, as a coding agent would.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path.cwd()
SIGNAL_OF_ATTEMPT_1 = "answer-loss-attempt1"


def curate(*arguments):
    """One call of ``curate --json``: (exit code, reply)."""
    done = subprocess.run(["curate", "--json", *arguments], capture_output=True, text=True, check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"message": (done.stderr or done.stdout)[:300]}


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Run:
    """The course of one run."""

    def __init__(self):
        self.task = curate("task")[1]
        self.last = None
        """(attempt, feedback) of the last score."""
        self.bought = set()

    def signal(self, name):
        """Buy the loss of attempt 1's model over the whole pool, once."""
        if name in self.bought or self.last is None:
            return
        rows = WORK / "all-rows.txt"
        rows.write_text("".join(f"{row}\n" for row in range(self.task["pool_rows"])))
        code, reply = curate("signal", "answer-loss", "--rows", str(rows), "--attempt", "1")
        say(f"signal {name}: {'bought' if code == 0 else reply}")
        self.bought.add(name)

    def attempt(self, name, policy, note):
        """Run a policy, hand in what it chose, and wait for the score."""
        history, rows = WORK / "history", WORK / f"{name}.txt"
        shutil.rmtree(history, ignore_errors=True)
        curate("history", "--save", str(history))
        made = subprocess.run(
            [
                *(sys.executable, str(policy / "policy.py"), "--pool", "/pool", "--history", str(history)),
                *("--seed", str(self.task["seed"]), "--out", str(rows)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            say(f"{name}: the policy failed: {made.stderr[-400:]}")
            return
        code, reply = curate("submit", str(rows), "--policy", str(policy), "--note", note)
        if reply.get("outcome") != "accepted":
            say(f"{name}: {json.dumps(reply)[:600]}")
            return
        n = reply["attempt"]
        while True:
            code, view = curate("wait", str(n), "--timeout", "300")
            if code != 3:
                break
        feedback = view.get("feedback")
        if feedback:
            self.last = (n, feedback)
            say(f"{name}: attempt {n} scored {feedback['mean']:.4f}. {feedback['message']}")


def policy_folder(name):
    folder = WORK / "policies" / name
    folder.mkdir(parents=True)
    shutil.copy(HERE / "pool.py", folder / "pool.py")
    return folder


def tuner(run):
    steps = json.loads((HERE / "tuner" / "steps.json").read_text())
    source = (HERE / "tuner" / "tuner_policy.py").read_text()
    for number, step in enumerate(steps, start=1):
        folder = policy_folder(f"{number:02d}")
        lines = source.splitlines(keepends=True)
        for knob, value in step["knobs"].items():
            lines = [f"{knob} = {value!r}\n" if line.startswith(f"{knob} = ") else line for line in lines]
        (folder / "policy.py").write_text("".join(lines))
        run.attempt(f"{number:02d}", folder, step["note"])


def adapter(run):
    for source in sorted((HERE / "adapter").glob("p*.py")):
        said = source.with_suffix(".yaml").read_text()
        cards = said.split("cards: [")[1].split("]")[0].split(", ")
        for card in cards:
            curate("methods", card)
        policy = source.read_text()
        if SIGNAL_OF_ATTEMPT_1 in policy:
            run.signal(SIGNAL_OF_ATTEMPT_1)
        folder = policy_folder(source.stem)
        (folder / "policy.py").write_text(policy)
        (folder / "method.yaml").write_text(filled(said, run.last))
        run.attempt(source.stem, folder, f"after {' and '.join(cards)}")


def filled(said, last):
    """``method.yaml`` with the last scores in it."""
    if last is None:
        return said.replace("@EVIDENCE@", "[]").replace("@WORST@", "Nothing")
    attempt, feedback = last
    quotes = [{"attempt": attempt, "benchmark": "mean", "score": round(feedback["mean"], 4)}]
    worst = "the mean"
    if feedback["by_benchmark"]:
        worst = min(sorted(feedback["by_benchmark"]), key=lambda name: feedback["by_benchmark"][name]["mean"])
        score = round(feedback["by_benchmark"][worst]["mean"], 4)
        quotes.append({"attempt": attempt, "benchmark": worst, "score": score})
    return said.replace("@EVIDENCE@", json.dumps(quotes)).replace("@WORST@", worst.capitalize())


if __name__ == "__main__":
    {"tuner": tuner, "adapter": adapter}[sys.argv[1]](Run())
    curate("done")
