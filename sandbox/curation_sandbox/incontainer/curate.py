#!/usr/bin/env python3
"""curate: look at the task, hand in a selection, read the score, revise.

Typical use:
  curate task                                       what to do, how it is scored, every limit
  curate check rows.txt                             is the file well-formed? free, spends nothing
  curate submit rows.txt --policy policy/ --note "loss band, 20-80 %"
  curate wait 1 --timeout 500                       score of attempt 1; returns in time either way
  curate status                                     what is left of every budget
  curate done                                       end the run

Exit codes: 0 fine, 2 wrong usage, 3 still running, 4 refused, 5 a budget is spent or the run is over,
6 the harness failed (not you; nothing was spent), 7 the harness cannot be reached, 8 another error.

With --json every command prints one JSON document, as the protocol has it.
"""

# One file, standard library only: it is mounted read-only into the container and imports nothing of the host's.

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import quote

SOCKET = os.environ.get("CURATION_SOCKET", "/run/curation/submit.sock")
TRIES = 5
MAX_POLICY_FILES = 200
OK, USAGE, RUNNING, REFUSED, SPENT, OURS, UNREACHABLE, OTHER = 0, 2, 3, 4, 5, 6, 7, 8
EXIT_OF_ERROR = {"budget-spent": SPENT, "run-over": SPENT, "ours": OURS, "busy": RUNNING}


class Failed(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, code: int, message: str, body: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = body if body is not None else {"error": "client", "message": message}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, timeout: float) -> None:
        super().__init__("curation", timeout=timeout)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(method: str, path: str, body: Optional[bytes] = None, timeout: float = 120.0) -> Tuple[int, Any]:
    """One request; repeated when the connection breaks, which is safe for every request of the protocol."""
    kind = "application/octet-stream" if method == "PUT" else "application/json"
    reason: Optional[Exception] = None
    for attempt in range(TRIES):
        connection = UnixConnection(timeout)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": kind})
            reply = connection.getresponse()
            data = reply.read()
            return reply.status, json.loads(data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error
            time.sleep(0.2 * 2**attempt)
        finally:
            connection.close()
    raise Failed(UNREACHABLE, f"the harness does not answer on {SOCKET}: {reason}")


def ask(method: str, path: str, body: Any = None, timeout: float = 120.0) -> Any:
    """A request whose error replies end the command."""
    data = None if body is None else json.dumps(body).encode()
    status, reply = call(method, path, data, timeout)
    if status >= 400 and "error" in reply:
        raise Failed(EXIT_OF_ERROR.get(reply["error"], OTHER), reply["message"], reply)
    return reply


def upload(path: Path) -> str:
    """Send a file's bytes and return their name."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failed(USAGE, f"{path}: {error.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    status, reply = call("PUT", f"/v1/blobs/{digest}", data)
    if status >= 400:
        raise Failed(EXIT_OF_ERROR.get(reply.get("error"), OTHER), f"{path}: {reply.get('message')}", reply)
    return digest


def policy_files(folder: Path) -> List[Tuple[str, Path]]:
    """The policy's files: regular, not hidden, no caches; names as the protocol takes them."""
    if not folder.is_dir():
        raise Failed(USAGE, f"--policy {folder}: a folder with the code that made the selection was expected")
    found: List[Tuple[str, Path]] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            path = Path(root) / name
            if name.startswith(".") or name.endswith(".pyc"):
                continue
            if path.is_symlink() or not path.is_file():
                raise Failed(USAGE, f"{path}: a policy holds plain files only, no links or devices")
            found.append((path.relative_to(folder).as_posix(), path))
    if not found:
        raise Failed(USAGE, f"--policy {folder}: the folder holds no files")
    if len(found) > MAX_POLICY_FILES:
        raise Failed(
            USAGE, f"--policy {folder}: {len(found)} files; at most {MAX_POLICY_FILES}. Keep data out of it."
        )
    return found


# -- commands: each returns (exit code, JSON document, text) -------------------------------------------

Answer = Tuple[int, Any, str]


def task(args: argparse.Namespace) -> Answer:
    view = ask("GET", "/v1/task")
    lines = [f"# {view['title']}", "", view["brief"].strip(), "", "## Rules", "", view["rules"].strip(), ""]
    lines += [f"- hand in: {view['kind']}, at most {view['rows_max']} of {view['pool_rows']} pool rows"]
    lines += [f"- iterations: {view['iterations']}", f"- benchmarks: {', '.join(view['benchmarks'])}"]
    lines += [f"- seed for your own randomness: {view['seed']}"]
    for signal in view["signals"]:
        lines.append(f"- `curate signal {signal['name']}`: {signal['description']} ({signal['unit']})")
    return OK, view, "\n".join(lines)


def status(args: argparse.Namespace) -> Answer:
    view = ask("GET", "/v1/status")
    return OK, view, status_text(view)


def check(args: argparse.Namespace) -> Answer:
    view = ask("POST", "/v1/check", {"data": upload(args.file)})
    if view["ok"]:
        return OK, view, f"well-formed: {view['rows']} rows"
    return REFUSED, view, "this file would be refused:\n" + problems_text(view)


def submit(args: argparse.Namespace) -> Answer:
    policy = [{"path": name, "blob": upload(path)} for name, path in policy_files(args.policy)]
    request = {"key": uuid.uuid4().hex, "data": upload(args.file), "policy": policy, "note": args.note}
    reply = ask("POST", "/v1/submissions", request)
    if reply["outcome"] == "refused":
        left = reply["refusals_left"]
        text = f"refused (no iteration was spent; {left} refusals left):\n{problems_text(reply)}"
        return REFUSED, reply, text
    n = reply["attempt"]
    if reply["outcome"] == "duplicate":
        text = f"the same content was attempt {n}; its result stands and nothing was spent"
    else:
        text = f"accepted as attempt {n} ({reply['rows']} rows); `curate wait {n}` gives its score"
    if args.wait is None:
        return OK, reply, text
    code, view, told = wait_for(n, args.wait)
    return code, {**reply, "result": view}, f"{text}\n{told}"


def wait(args: argparse.Namespace) -> Answer:
    return wait_for(args.n, args.timeout)


def result(args: argparse.Namespace) -> Answer:
    return wait_for(args.n, 0.0)


def wait_for(n: int, timeout: float) -> Answer:
    view = ask("GET", f"/v1/attempts/{n}?wait={timeout:g}", timeout=timeout + 60)
    if view["state"] == "scored":
        return OK, view, feedback_text(view)
    if view["state"] == "failed":
        return OURS, view, f"attempt {n}: {view['failure']}"
    return RUNNING, view, f"attempt {n} is still running ({view['state']}); ask again with `curate wait {n}`"


def history(args: argparse.Namespace) -> Answer:
    view = ask("GET", "/v1/attempts")
    lines = [f"{len(view['attempts'])} attempts, {view['refusals']} refusals"]
    for one in view["attempts"]:
        feedback = one["feedback"]
        score = f"{feedback['mean']:.4f} ± {feedback['stderr']:.4f}" if feedback else one["state"]
        lines.append(f"  {one['n']:>3}  {one['rows']:>7} rows  {score}")
    return OK, view, "\n".join(lines)


def signal(args: argparse.Namespace) -> Answer:
    view = ask("POST", "/v1/signals", {"name": args.name, "rows": upload(args.rows)})
    deadline = time.monotonic() + args.timeout
    while view["state"] == "working" and time.monotonic() < deadline:
        left = max(0.0, min(60.0, deadline - time.monotonic()))
        view = ask("GET", f"/v1/signals/{quote(view['id'])}?wait={left:g}", timeout=left + 60)
    if view["state"] == "failed":
        return OURS, view, f"signal {args.name}: {view['failure']}"
    if view["state"] == "working":
        return RUNNING, view, "still being computed; repeat the same command to go on waiting"
    pairs = [json.dumps({"row": row, "value": value}) for row, value in zip(view["rows"], view["values"])]
    if args.out is None:
        return OK, view, "\n".join(pairs)
    args.out.write_text("\n".join(pairs) + "\n")
    return OK, {**view, "rows": len(pairs), "values": str(args.out)}, f"{len(pairs)} values in {args.out}"


def done(args: argparse.Namespace) -> Answer:
    view = ask("POST", "/v1/done", {})
    return OK, view, "the run is over; the best attempt is now scored on items you have not seen"


# -- text ------------------------------------------------------------------------------------------------


def problems_text(reply: Dict[str, Any]) -> str:
    lines = []
    for problem in reply["problems"]:
        where = f"line {problem['row']}: " if problem["row"] is not None else ""
        lines.append(f"  - {where}{problem['message']} [{problem['code']}]")
    if reply.get("more_problems"):
        lines.append(f"  … and {reply['more_problems']} more")
    return "\n".join(lines)


def feedback_text(view: Dict[str, Any]) -> str:
    feedback = view["feedback"]
    lines = [
        f"attempt {view['n']}: {feedback['mean']:.4f} ± {feedback['stderr']:.4f}"
        f"  (n = {feedback['n']}, public items)"
    ]
    for name, score in sorted((feedback["by_benchmark"] or {}).items()):
        lines.append(f"  {name:<20} {score['mean']:.4f} ± {score['stderr']:.4f}  (n = {score['n']})")
    lines.append(feedback["message"])
    lines.append(f"best so far: {feedback['best_so_far']:.4f} (attempt {feedback['best_attempt']})")
    if feedback["noise_floor"] is not None:
        lines.append(f"noise floor: {feedback['noise_floor']:.4f}; smaller differences mean nothing")
    for one in feedback["references"]:
        spread = f" ± {one['sd']:.4f}" if one["sd"] is not None else ""
        lines.append(f"  reference {one['name']:<16} {one['mean']:.4f}{spread}  ({one['seeds']} seeds)")
    return "\n".join(lines)


def status_text(view: Dict[str, Any]) -> str:
    lines = [f"run {view['run_id']}: {view['state']}"]
    if view["attempt"] is not None:
        lines[0] += f", attempt {view['attempt']} in progress (your clock stands still)"
    for budget in view["budgets"]:
        spent = budget["spent"] - budget["refunded"]
        limit = "no limit" if budget["limit"] is None else f"of {budget['limit']:g}"
        lines.append(f"  {budget['name']:<12} {spent:8.1f} {limit} {budget['unit']}")
    lines += [f"  note: {event}" for event in view["events"]]
    return "\n".join(lines)


# -- command line ------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="curate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--json", action="store_true", help="print one JSON document")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(function: Any, text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(function.__name__, help=text, description=text)
        # SUPPRESS: `curate status --json` and `curate --json status` are both right
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
        command.set_defaults(function=function)
        return command

    add(task, "the task: what is trained, how it is scored, the limits")
    add(status, "the ledger: every budget and what has been spent")
    add(check, "check a file's schema; free").add_argument("file", type=Path)
    command = add(submit, "hand in a selection with the policy that made it")
    command.add_argument("file", type=Path, help="row ids, one a line, or JSONL")
    command.add_argument("--policy", type=Path, required=True, help="folder with the code that made FILE")
    command.add_argument("--note", default="", help="what was tried and why")
    command.add_argument("--wait", type=float, metavar="SECONDS", help="wait for the score this long")
    command = add(wait, "wait for an attempt's score")
    command.add_argument("n", type=int)
    command.add_argument("--timeout", type=float, default=500.0, metavar="SECONDS")
    add(result, "an attempt's score, or its state").add_argument("n", type=int)
    add(history, "all attempts so far")
    command = add(signal, "have a signal computed over rows, on the host; metered and cached")
    command.add_argument("name")
    command.add_argument("--rows", type=Path, required=True, help="file with row ids, one a line")
    command.add_argument("--out", type=Path, help="write JSONL here instead of printing it")
    command.add_argument("--timeout", type=float, default=500.0, metavar="SECONDS")
    add(done, "end the run")
    return top


def main() -> int:
    args = parser().parse_args()
    try:
        code, document, text = args.function(args)
    except Failed as failed:
        code, document, text = failed.code, failed.body, f"curate: {failed}"
        if not args.json:
            print(text, file=sys.stderr)
            return code
    print(json.dumps(document) if args.json else text)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
