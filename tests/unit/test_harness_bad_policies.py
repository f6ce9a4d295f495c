"""Broken and hostile policies under ``adapt``: every reason at once, one refusal, no iteration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from curation_harness.record.state import ledger
from curation_harness.run.loop import RunLoop
from curation_plugins.methods.library import MethodLibrary
from curation_sandbox.protocol import Checking, PolicyFile, Refused, SubmitReply, SubmitRequest
from local_policies import LocalPolicies

PLAIN = b"""
import argparse, json
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()

def loudness(row):
    return sum(value * value for value in row["x"])

def ranked(rows):
    return sorted(range(len(rows)), key=lambda place: -loudness(rows[place]))

chosen = ranked([json.loads(line) for line in open(given.pool + "/rows.jsonl")])[:20]
Path(given.out).write_text("".join(f"{row}\\n" for row in chosen))
"""
METHOD = b"""failure: half of the pool's rows lie near zero and teach nothing
evidence: []
cards: [no-such-card, el2n]
steps:
  - {card: el2n, step: s1, function: "policy.py:nowhere"}
adapted: the length of the row stands for the error, since there is no model
"""


def hand_in(loop: RunLoop, folder: Path, files: Mapping[str, bytes], key: str = "the-key-1") -> SubmitReply:
    """As the server does: blobs on disk, then one request; asked again while the policy is being run."""
    policy = {}
    for place, (name, content) in enumerate(files.items()):
        policy[name] = folder / f"blob-{place}"
        policy[name].write_bytes(content)
    rows = folder / "rows"
    rows.write_text("".join(f"{row}\n" for row in range(20)))
    listed = tuple(
        PolicyFile(path=name, blob=hashlib.sha256(path.read_bytes()).hexdigest()) for name, path in policy.items()
    )
    reply = loop.handler.submit(SubmitRequest(key=key, data="0" * 64, policy=listed), rows, policy)
    if isinstance(reply, Checking):
        loop.work_through()
        reply = loop.handler.submitted(key)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        ({"policy.py": PLAIN}, {"method-missing"}),
        ({"policy.py": PLAIN, "method.yaml": b"cards: [el2n\nsteps: 3"}, {"method-not-yaml"}),
        ({"policy.py": PLAIN, "method.yaml": b"cards: \xff\xfe"}, {"method-not-text"}),
        (
            {"policy.py": PLAIN, "method.yaml": METHOD},
            {"card-unknown", "card-unread", "step-function-missing", "step-missing"},
        ),
        ({"policy.py": b"def f(:\n", "method.yaml": METHOD}, {"policy-syntax", "card-unknown"}),
        ({"policy.py": b"x = '\xff'\n", "more.py": b"y = (\n", "method.yaml": METHOD}, {"policy-not-text"}),
        ({"policy.py": b"x = " + b"-" * 40_000 + b"1\n", "method.yaml": METHOD}, {"policy-too-complex"}),
        ({"policy.py": b"x = 1\n" * 400_000, "method.yaml": METHOD}, {"policy-too-large", "card-unknown"}),
        ({"other.py": PLAIN, "method.yaml": METHOD}, {"no-policy", "card-unknown"}),
        ({"policy.py": PLAIN, "rows.npy": b"\x93NUMPY", "method.yaml": METHOD}, {"policy-file-kind", "card-unknown"}),
    ],
    ids=["no-file", "no-yaml", "no-text", "cards", "syntax", "bytes", "nested", "megabytes", "no-entry", "data"],
)
def test_a_bad_policy_is_one_refusal_with_every_reason(open_loop, tmp_path, files, codes):
    with open_loop("budgets.reproduce_seconds=5", scaffold="adapt", policies=LocalPolicies) as loop:
        reply = hand_in(loop, tmp_path, files)
        assert isinstance(reply, Refused)
        assert codes <= {problem.code for problem in reply.problems}
        assert ledger(loop.record).iterations == 0
        assert loop.record.submissions() == ()
        assert [refusal.n for refusal in loop.record.refusals()] == [1]
        assert loop.handler.history().refusals == 1
        assert hand_in(loop, tmp_path, files) == reply  # asked again under its key: the same refusal, no second one
        assert len(loop.record.refusals()) == 1


def test_names_that_are_no_plain_text_do_not_reach_the_gate():
    for name in ("../policy.py", "p\udcffolicy.py", "políticas.py", ".policy.py", "a//b.py", "x" * 300 + ".py"):
        with pytest.raises(ValueError, match="path"):
            PolicyFile(path=name, blob="0" * 64)


def test_a_policy_is_taken_when_what_stood_against_it_is_mended(open_loop, tmp_path):
    """The same code, with the card read and the file right: the refusal before it is no earlier attempt."""
    card = MethodLibrary().get("el2n")
    assert card is not None
    named = ["loudness", "ranked"]
    lines = [b"failure: half of the pool's rows lie near zero and teach nothing", b"evidence: []", b"cards: [el2n]"]
    lines += [b"steps:"]
    for place, step in enumerate(card.procedure):
        done = named[place // 2] if place < 2 * len(named) and place <= len(card.procedure) // 2 else None
        what = f'function: "policy.py:{done}"' if done else "left_out: there is no model to ask in this pool"
        lines.append(f"  - {{card: el2n, step: {step.id}, {what}}}".encode())
    lines.append(b"adapted: the length of the row stands for the error, since there is no model")
    files = {"policy.py": PLAIN, "method.yaml": b"\n".join(lines) + b"\n"}
    with open_loop("budgets.reproduce_seconds=5", scaffold="adapt", policies=LocalPolicies) as loop:
        made = LocalPolicies(loop.parts.assets / "pool")
        rows = chosen(made, tmp_path)
        first = hand_in(loop, tmp_path, files, "the-key-1")
        assert isinstance(first, Refused)
        assert {"card-unread", "reproduce-differs"} == {problem.code for problem in first.problems}
        loop.handler.method("el2n")
        (tmp_path / "rows").write_text("".join(f"{row}\n" for row in rows))
        policy = {name: tmp_path / f"blob-{place}" for place, name in enumerate(files)}
        listed = tuple(PolicyFile(path=name, blob="0" * 64) for name in files)
        request = SubmitRequest(key="the-key-2", data="1" * 64, policy=listed)
        loop.handler.submit(request, tmp_path / "rows", policy)
        loop.work_through()
        reply = loop.handler.submitted("the-key-2")
        assert reply is not None
        assert reply.outcome == "accepted", reply
        assert loop.record.submissions()[0].cited == ("el2n",)


def chosen(made: LocalPolicies, folder: Path) -> list[int]:
    """What ``PLAIN`` selects."""
    place = folder / "plain"
    place.mkdir()
    (place / "policy.py").write_bytes(PLAIN)
    (folder / "history").mkdir()
    out = folder / "rows.txt"
    ran = made.run(place, folder / "history", ["--seed", "0"], 20.0, 1 << 20, out)
    assert ran.report is not None
    return [int(line) for line in out.read_text().split()]
