#!/usr/bin/env python3
"""curate: talk to the harness that trains and scores what you curate.

The usual order:

    curate task                              what is asked for, the rules, the budgets
    curate check FILE                        free: is the file well-formed?
    curate submit FILE --policy DIR --note "what and why"
    curate wait N --timeout 500              repeat while it exits with 3
    curate result N

also:

    curate methods [ID]                      method cards, where this run has them
    curate reproduce FILE --policy DIR       free: does the policy make FILE again, as the host runs it?
    curate history --save DIR                what a policy finds at /history

exit codes: 0 ok; 2 usage, or the request was wrong; 3 still running; 4 refused (or check found problems);
5 budget spent or run over; 6 the harness failed, not you; 7 the harness cannot be reached
"""

# One file, standard library only, Python >= 3.9: it is mounted read-only into containers of any make.

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import re
import socket
import stat
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

PROTOCOL_VERSION = "1"
DEFAULT_SOCKET = "/run/curation/submit.sock"
MAX_POLICY_FILES = 200
MAX_POLICY_BYTES = 8 * 1024 * 1024
POLICY_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}")
RETRY_SECONDS = float(os.environ.get("CURATION_RETRY_SECONDS", "10"))
"""How long to try again after a lost connection. Safe: a repeated submit carries the same key."""
POLL_SECONDS = 60.0
"""One long poll; a wait is as many of them as it takes."""

OK, USAGE, RUNNING, REFUSED, OVER, OURS, UNREACHABLE = 0, 2, 3, 4, 5, 6, 7

EXIT_OF_ERROR = {
    "busy": RUNNING,
    "budget-spent": OVER,
    "run-over": OVER,
    "ours": OURS,
    "unreachable": UNREACHABLE,
}

Json = Any


class Failure(Exception):
    """Ends the command with a message, and with the exit code that belongs to ``error``."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.exit_code = EXIT_OF_ERROR.get(error, USAGE)


# ---------------------------------------------------------------- the socket


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("harness")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Harness:
    """The host's end, seen from here. Every request may be repeated, and is after a lost connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection = _Connection(path)

    def get(self, path: str) -> Json:
        return self._ask("GET", path, None, 30.0)

    def post(self, path: str, body: Json) -> Json:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return self._ask("POST", path, text.encode("utf-8", "replace"), 600.0)

    def poll(self, path: str, seconds: float, over: Callable[[Json], bool]) -> Json:
        """Ask again and again until ``over`` or the time is spent; returns the last view."""
        deadline = time.monotonic() + seconds
        while True:
            wait = max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
            view = self._ask("GET", f"{path}?wait={wait:.2f}", None, wait + 30.0)
            if over(view) or time.monotonic() >= deadline:
                return view

    def submit(self, request: Json, seconds: float) -> Json:
        """Hand in, and ask again under the same key until there is an answer or the time is spent."""
        deadline = time.monotonic() + seconds
        body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        while True:
            wait = max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
            reply = self._ask("POST", f"/v1/submissions?wait={wait:.2f}", body, 600.0)
            if reply["outcome"] != "checking" or time.monotonic() >= deadline:
                return reply

    def download(self, path: str, place: Path) -> None:
        """Get a file's bytes; the file appears whole or not at all."""
        status, reply = self._exchange("GET", path, None, 300.0, place)
        if status != 200:
            raise Failure(str(reply.get("error", "bad-request")), str(reply.get("message", reply)))

    def upload(self, file: Path) -> str:
        """Send a file's bytes; returns their SHA-256."""
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
        name = digest.hexdigest()
        self._ask("PUT", "/v1/blobs/" + name, file, 300.0)
        return name

    def _ask(self, method: str, path: str, body: bytes | Path | None, timeout: float) -> Json:
        deadline = time.monotonic() + RETRY_SECONDS
        pause = 0.1
        while True:
            try:
                status, reply = self._exchange(method, path, body, timeout)
                if status != 503:
                    break
                problem = "the harness says: " + str(reply.get("message"))
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
            self._connection.close()
            if time.monotonic() + pause > deadline:
                raise Failure(
                    "unreachable",
                    f"cannot reach the harness at {self._path} ({problem}). Nothing is lost: run the same "
                    "command again later; if that does not help, the run is over.",
                )
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
        if status < 300 or (status == 422 and "outcome" in reply):
            return reply
        raise Failure(str(reply.get("error", "bad-request")), str(reply.get("message", reply)))

    def _exchange(
        self, method: str, path: str, body: bytes | Path | None, timeout: float, place: Path | None = None
    ) -> tuple[int, Json]:
        """One request. A reply with status 200 goes to ``place``, if there is one."""
        connection = self._connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        headers = {"Curation-Protocol": PROTOCOL_VERSION}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
        try:
            if isinstance(body, Path):
                size = body.stat().st_size
                headers["Content-Length"] = str(size)
                connection.request(method, path, blocks(body, size), headers)
            else:
                connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # The harness may answer before it has read everything (it knows the bytes, they are too many).
            pass
        response = connection.getresponse()
        if place is not None and response.status == 200:
            write_file(place, iter(lambda: response.read(1 << 18), b""))
            return 200, None
        text = response.read()
        if response.getheader("Curation-Protocol") != PROTOCOL_VERSION:
            raise Failure("ours", f"the harness does not speak version {PROTOCOL_VERSION} of the protocol.")
        try:
            return response.status, json.loads(text)
        except ValueError:
            raise Failure("ours", "the harness sent a reply that is not JSON.") from None


# ---------------------------------------------------------------- files


def blocks(file: Path, size: int) -> Iterator[bytes]:
    """The first ``size`` bytes: exactly as many as were announced, though the file may be written to meanwhile."""
    left = size
    with file.open("rb") as stream:
        while left:
            block = stream.read(min(left, 1 << 18))
            if not block:
                raise Failure("usage", f"{file} became shorter while it was sent: finish writing it first.")
            left -= len(block)
            yield block


def regular_file(name: str) -> Path:
    """The file of that name; Failure if it is not there or is no regular file."""
    path = Path(name)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Failure("usage", f"{name} is not a regular file.")
        path.open("rb").close()
    except OSError as error:
        raise Failure("usage", f"cannot read {name}: {error.strerror}") from None
    return path


def policy_files(folder: str) -> list[tuple[str, Path]]:
    """The policy's files by their path in the policy. Dotfiles and ``__pycache__`` stay out.

    Failure for anything that the harness would not take: links, special files, odd names, too much.
    """
    root = Path(folder)
    if not root.is_dir():
        raise Failure("usage", f"--policy: {folder} is no folder. Give the folder with the code that made the file.")
    found: list[tuple[str, Path]] = []
    size = 0
    for place, folders, names in os.walk(root, onerror=_raise):
        kept = sorted(name for name in folders if not _left_out(name))
        for name in kept + sorted(name for name in names if not _left_out(name)):
            path = Path(place) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise Failure("usage", f"--policy: {path} is a symbolic link: put a copy there instead.")
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise Failure("usage", f"--policy: {path} is not a regular file.")
            size += path.stat().st_size
            found.append((_policy_name(path, root), path))
            if len(found) > MAX_POLICY_FILES or size > MAX_POLICY_BYTES:
                raise Failure(
                    "usage",
                    f"--policy: {folder} holds more than {MAX_POLICY_FILES} files or "
                    f"{MAX_POLICY_BYTES >> 20} MiB. A policy is code: keep data, caches and outputs in "
                    "another folder.",
                )
        folders[:] = kept
    if not found:
        raise Failure("usage", f"--policy: {folder} holds no file. Give the code that made the submission.")
    return found


def _left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _policy_name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    if len(name) > 200 or not POLICY_PATH.fullmatch(name):
        raise Failure(
            "usage",
            f"--policy: rename {name!a}: names are of letters, digits, '_', '-' and '.', at most 8 deep and 200 "
            "characters long.",
        )
    return name


def _raise(error: OSError) -> None:
    raise Failure("usage", f"--policy: cannot read {error.filename}: {error.strerror}")


# ---------------------------------------------------------------- what is printed


def table(rows: list[list[str]], indent: str = "  ") -> str:
    """Columns aligned; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]  # noqa: B905 - Python 3.9
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "no limit" if value is None else f"{round(value, 2):.10g}"


def score(mean: float, spread: float | None) -> str:
    return f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}"


def budgets(status: Json) -> str:
    rows = [["budget", "left", "spent", "limit", "unit"]]
    for budget in status["budgets"]:
        spent = budget["spent"] - budget["refunded"]
        left = None if budget["limit"] is None else max(0.0, budget["limit"] - spent)
        rows.append([budget["name"], number(left), number(spent), number(budget["limit"]), budget["unit"]])
    return table(rows) if len(rows) > 1 else "  no budgets"


def show_status(status: Json) -> None:
    state = {
        "open": "open: you may submit",
        "working": f"working: {_work(status)}; your clock stands still",
        "over": "over: nothing more can be submitted",
    }[status["state"]]
    print(f"run {status['run_id']} is {state}")
    print(budgets(status))
    for event in status["events"]:
        print("  note: " + event)


def _work(status: Json) -> str:
    if status["attempt"] is None:
        return "busy with a signal or a policy of yours"
    return f"attempt {status['attempt']} is being trained or scored"


def _repeats(task: Json) -> str:
    if task["kind"] != "uids":
        return ""
    often = f", each named up to {task['repeats_max']} times" if task["repeats_max"] > 1 else ", each named once"
    return often + (f"; at least {task['samples_min']} in all" if task["samples_min"] > 1 else "")


def show_task(task: Json, status: Json) -> None:
    print(f"# {task['title']} ({task['name']})\n")
    print(task["brief"].rstrip() + "\n")
    print("## Rules\n\n" + task["rules"].rstrip() + "\n")
    print("## Facts\n")
    facts = [
        ["submission kind", task["kind"]],
        ["rows in the pool", str(task["pool_rows"])],
        ["rows in a submission", f"at most {task['rows_max']}{_repeats(task)}"],
        ["size of its file", f"at most {task['max_bytes']} bytes"],
        ["iterations", str(task["iterations"])],
        ["seed for your randomness", str(task["seed"])],
    ]
    if task["methods"]:
        facts.append(["method cards", f"{task['methods']}: curate methods"])
    for name, value in facts:
        print(f"  {name:24}  {value}")
    print(f"  {'benchmarks':24}  {', '.join(task['benchmarks'])}")
    for signal in task["signals"]:
        more = "; --attempt N too" if signal["of_attempts"] else ""
        more += f"; at most {signal['rows_max']} rows at a time" if signal["rows_max"] else ""
        print(f"  signal {signal['name']:17}  {signal['description']} [{signal['unit']}{more}]")
    print("\n## Budgets\n")
    show_status(status)


def show_notes(reply: Json) -> None:
    for note in reply.get("notes", []):
        print(f"  note: {note}")


def show_problems(reply: Json) -> None:
    for problem in reply["problems"]:
        place = f"row {problem['row']}: " if problem["row"] is not None else ""
        print(f"  - {place}{problem['message']} [{problem['code']}]")
    if reply["more_problems"]:
        print(f"  and {reply['more_problems']} more problems")


def show_attempt(view: Json) -> None:
    feedback = view["feedback"]
    if view["state"] == "failed":
        print(f"attempt {view['n']} failed, and the harness is to blame: {view['failure']}")
        print("The iteration was given back: submit again, or something else.")
    elif feedback is None:
        print(f"attempt {view['n']} is {view['state']} ({view['rows']} rows)")
    else:
        print(f"attempt {view['n']} is scored ({view['rows']} rows)")
        show_feedback(feedback)


def show_feedback(feedback: Json) -> None:
    rows = [["", "score", "n"]]
    rows.append(["this attempt", score(feedback["mean"], feedback["stderr"]), str(feedback["n"])])
    for name, part in sorted((feedback["by_benchmark"] or {}).items()):
        rows.append(["  " + name, score(part["mean"], part["stderr"]), str(part["n"])])
    best = f"best so far (attempt {feedback['best_attempt']})"
    rows.append([best, score(feedback["best_so_far"], None), ""])
    for reference in feedback["references"]:
        seeds = f"{reference['seeds']} seed{'' if reference['seeds'] == 1 else 's'}"
        name = "reference: " + reference["name"]
        rows.append([name, score(reference["mean"], reference["sd"]), seeds])
    print(table(rows))
    print("  (± is the standard error of a score, the standard deviation over seeds of a reference)")
    if feedback.get("mean_of"):
        print(f"  the score is the {feedback['mean_of']}")
    if feedback["noise_floor"] is not None:
        print(f"  noise floor {feedback['noise_floor']:.4f}: smaller differences mean nothing")
    print("  " + feedback["message"])


def show_history(history: Json) -> None:
    rows = [["attempt", "state", "rows", "score"]]
    for view in history["attempts"]:
        feedback = view["feedback"]
        result = score(feedback["mean"], feedback["stderr"]) if feedback else "-"
        rows.append([str(view["n"]), view["state"], str(view["rows"]), result])
    print(table(rows) if len(rows) > 1 else "  no attempts yet")
    print(f"  refusals: {history['refusals']}")


# ---------------------------------------------------------------- commands


class Out:
    """Prints the harness's reply for a person, or as one line of JSON."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def reply(self, reply: Json, show: Callable[[], None]) -> None:
        if self.as_json:
            print(json.dumps(reply, ensure_ascii=False))
        else:
            show()


def do_task(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    task = harness.get("/v1/task")
    out.reply(task, lambda: show_task(task, harness.get("/v1/status")))
    return OK


def do_status(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    status = harness.get("/v1/status")
    out.reply(status, lambda: show_status(status))
    return OK


def do_check(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    reply = harness.post("/v1/check", {"data": harness.upload(regular_file(args.file))})

    def show() -> None:
        rows = "" if reply["rows"] is None else f" ({reply['rows']} rows)"
        print(f"{args.file}{rows} is {'well-formed' if reply['ok'] else 'not acceptable:'}")
        show_problems(reply)
        show_notes(reply)

    out.reply(reply, show)
    return OK if reply["ok"] else REFUSED


def handed_in(harness: Harness, args: argparse.Namespace) -> Json:
    """The file and the policy, uploaded."""
    data = regular_file(args.file)
    files = policy_files(args.policy)
    return {
        "data": harness.upload(data),
        "policy": [{"path": name, "blob": harness.upload(path)} for name, path in files],
    }


def do_submit(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    key = args.key or uuid.uuid4().hex
    reply = harness.submit({"key": key, **handed_in(harness, args), "note": args.note}, args.timeout)
    if reply["outcome"] == "checking":
        out.reply(reply, lambda: print(_checking(args, key)))
        return RUNNING
    if reply["outcome"] == "refused":
        out.reply(reply, lambda: show_refusal(reply))
        return REFUSED
    n = reply["attempt"]
    if args.wait is not None:
        if not out.as_json:
            print(f"accepted as attempt {n}; waiting" if reply["outcome"] == "accepted" else _known(n))
        return wait_for(harness, n, args.wait, out)

    def show() -> None:
        if reply["outcome"] == "duplicate":
            print(_known(n))
        else:
            print(f"accepted as attempt {n} ({reply['rows']} rows).")
            show_notes(reply)
            print(f"Training and scoring take a while: curate wait {n} --timeout 500")

    out.reply(reply, show)
    return OK


def _checking(args: argparse.Namespace, key: str) -> str:
    return (
        "the host is still running the policy again; nothing is accepted or refused yet. Ask for the answer with the"
        f" same command and --key {key}: it is not handed in twice."
    )


def do_reproduce(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    view = harness.post("/v1/reproductions", handed_in(harness, args))
    if view["state"] == "working":
        view = harness.poll("/v1/reproductions/" + view["id"], args.timeout, lambda it: it["state"] != "working")
    out.reply(view, lambda: show_reproduction(view))
    if view["state"] == "ready":
        return OK if view["ok"] else REFUSED
    return OURS if view["state"] == "failed" else RUNNING


def show_reproduction(view: Json) -> None:
    if view["state"] == "working":
        print("the policy is still running: run the same command again.")
    elif view["state"] == "failed":
        print("not tried, and the harness is to blame: " + view["failure"])
    else:
        seconds = "" if view["seconds"] is None else f" (the policy ran {view['seconds']:.1f} s)"
        print(f"the policy {'makes the same rows again' if view['ok'] else 'would be refused:'}{seconds}")
        for problem in view["problems"]:
            print(f"  - {problem['message']} [{problem['code']}]")
        if view["functions"]:
            print("  entered: " + ", ".join(view["functions"]))


def _known(n: int) -> str:
    return f"the same content is attempt {n} already: no iteration is spent. Its scores: curate result {n}"


def show_refusal(reply: Json) -> None:
    print(
        f"refused (refusal {reply['refusal']}, {reply['refusals_left']} left). It costs no iteration; "
        "mend this and submit again:"
    )
    show_problems(reply)


def do_wait(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    return wait_for(harness, args.n, args.timeout, out)


def do_result(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    return wait_for(harness, args.n, 0.0, out)


def wait_for(harness: Harness, n: int, seconds: float, out: Out) -> int:
    view = harness.poll(f"/v1/attempts/{n}", seconds, lambda it: it["state"] in ("scored", "failed"))

    def show() -> None:
        if view["state"] in ("scored", "failed"):
            show_attempt(view)
            print(budgets(harness.get("/v1/status")))
        else:
            print(f"attempt {n} is still running ({view['state']}). Ask again: curate wait {n} --timeout 500")

    out.reply(view, show)
    return {"scored": OK, "failed": OURS}.get(view["state"], RUNNING)


def do_history(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    history = harness.get("/v1/attempts")
    if args.save is not None:
        save_history(harness, Path(args.save))
    out.reply(history, lambda: show_history(history))
    return OK


def save_history(harness: Harness, folder: Path) -> None:
    """The folder that the host shows a policy at ``/history``, byte for byte."""
    for file in harness.get("/v1/history")["files"]:
        place = folder / file["path"]
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure("usage", f"--save: cannot make {place.parent}: {error.strerror}") from None
        harness.download("/v1/history/" + urllib.parse.quote(file["path"]), place)


def do_methods(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    if args.id is not None:
        card = harness.get("/v1/methods/" + urllib.parse.quote(args.id, safe=""))
        out.reply(card, lambda: show_card(card["card"]))
        return OK
    asked = {"family": args.family, "search": args.search}
    query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
    found = harness.get("/v1/methods" + ("?" + query if query else ""))
    out.reply(found, lambda: show_methods(found))
    return OK


def show_methods(found: Json) -> None:
    for method in found["methods"]:
        print(f"  {method['id']:28}  {method['family']:12}  {method['title']}")
        print(f"  {'':28}  {method['summary']}")
    print(f"  {len(found['methods'])} methods; families: {', '.join(found['families'])}")
    print("  the whole card: curate methods ID")


def show_card(card: Json) -> None:
    for line in card_lines(card):
        print(line)


def card_lines(value: Json) -> Iterator[str]:
    """Any JSON as indented text; an entry of a list begins with a dash."""
    if isinstance(value, dict):
        for name, part in value.items():
            label = name.replace("_", " ") + ":"
            if isinstance(part, (dict, list)) and part:
                yield label
                yield from ("  " + line for line in card_lines(part))
            else:
                yield f"{label} {_plain(part)}"
    elif isinstance(value, list):
        for part in value:
            for number, line in enumerate(card_lines(part)):
                yield ("  " if number else "- ") + line
    else:
        yield _plain(value)


def _plain(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == [] else str(value)


def do_signal(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    rows = harness.upload(regular_file(args.rows))
    request = {"name": args.name, "rows": rows}
    if args.attempt is not None:
        request["attempt"] = args.attempt
    view = harness.post("/v1/signals", request)
    if view["state"] == "working":
        view = harness.poll("/v1/signals/" + view["id"], args.timeout, lambda it: it["state"] != "working")
    if view["state"] == "ready" and args.out:
        write_lines(args.out, view)
    out.reply(view, lambda: show_signal(view, args.out))
    return {"ready": OK, "failed": OURS}.get(view["state"], RUNNING)


def signal_lines(view: Json) -> list[str]:
    pairs = zip(view["rows"], view["values"])  # noqa: B905 - Python 3.9
    return [json.dumps({"row": row, "value": value}) for row, value in pairs]


def write_lines(name: str, view: Json) -> None:
    write_file(Path(name), (f"{line}\n".encode() for line in signal_lines(view)))


def write_file(place: Path, pieces: Iterable[bytes]) -> None:
    temporary = place.with_name(place.name + ".part")
    try:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        temporary.replace(place)
    except OSError as error:
        raise Failure("usage", f"cannot write {place}: {error.strerror}") from None


def show_signal(view: Json, written: str | None) -> None:
    if view["state"] == "working":
        print(f"signal {view['name']} is still being computed: run the same command again.")
    elif view["state"] == "failed":
        print(f"signal {view['name']} failed, and the harness is to blame: {view['failure']}")
    else:
        if written:
            print(f"{written}: {len(view['rows'])} values of signal {view['name']}")
        else:
            for line in signal_lines(view):
                print(line)
        if view["unmeasured"]:
            print(f"the budget for signals was spent: {view['unmeasured']} rows were not reached", file=sys.stderr)


def do_done(harness: Harness, args: argparse.Namespace, out: Out) -> int:
    status = harness.post("/v1/done", {})
    out.reply(status, lambda: show_status(status))
    return OK


# ---------------------------------------------------------------- command line


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise ValueError(text)
    return value


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="curate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--json", action="store_true", help="print the harness's reply as one line of JSON")
    # Behind the command too; SUPPRESS keeps its absence there from undoing the option in front.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Harness, argparse.Namespace, Out], int], text: str) -> Any:
        made = commands.add_parser(name, help=text, description=text, parents=[common])
        made.set_defaults(run=run)
        return made

    command("task", do_task, "the brief, the rules and the budgets")
    command("status", do_status, "the state of the run and what is left of the budgets")
    check = command("check", do_check, "check a submission's form; free")
    check.add_argument("file", metavar="FILE")
    submit = command("submit", do_submit, "hand in a submission with the policy that made it")
    submit.add_argument("file", metavar="FILE")
    submit.add_argument("--policy", metavar="DIR", required=True, help="folder with the code that made FILE")
    submit.add_argument("--note", metavar="TEXT", default="", help="what you tried and why")
    submit.add_argument("--wait", metavar="SECONDS", type=seconds, help="wait for the result")
    submit.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=500.0,
        help="how long to wait where the host runs the policy again first; exit code 3 after it, default 500",
    )
    submit.add_argument("--key", help="repeat an earlier submit under its key (8 to 64 of A-Za-z0-9_-)")
    wait = command("wait", do_wait, "wait for an attempt; exit code 3 while it runs")
    wait.add_argument("n", metavar="N", type=int)
    wait.add_argument("--timeout", metavar="SECONDS", type=seconds, default=100.0, help="default 100")
    result = command("result", do_result, "an attempt's scores")
    result.add_argument("n", metavar="N", type=int)
    reproduce = command("reproduce", do_reproduce, "have the host run the policy and compare with FILE; free")
    reproduce.add_argument("file", metavar="FILE")
    reproduce.add_argument("--policy", metavar="DIR", required=True, help="folder with policy.py, which made FILE")
    reproduce.add_argument("--timeout", metavar="SECONDS", type=seconds, default=500.0, help="default 500")
    history = command("history", do_history, "all attempts so far")
    history.add_argument("--save", metavar="DIR", help="also write what a policy finds at /history into DIR")
    methods = command("methods", do_methods, "published methods: a list, or one card whole")
    methods.add_argument("id", metavar="ID", nargs="?", help="a card's id")
    methods.add_argument("--family", metavar="FAMILY", help="only cards of this family")
    methods.add_argument("--search", metavar="TEXT", help="only cards with all these words")
    signal = command("signal", do_signal, "have the host compute something for rows of the pool; metered")
    signal.add_argument("name", metavar="NAME")
    signal.add_argument("--rows", metavar="FILE", required=True, help="one row id a line")
    signal.add_argument(
        "--attempt", metavar="N", type=int, help="with the model that attempt N trained, not the base"
    )
    signal.add_argument("--out", metavar="FILE", help="write one JSON object a line there")
    signal.add_argument("--timeout", metavar="SECONDS", type=seconds, default=500.0, help="default 500")
    command("done", do_done, "end the run; the best attempt is final")
    return top


def main() -> int:
    args = parser().parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    out = Out(args.json)
    harness = Harness(os.environ.get("CURATION_SOCKET", DEFAULT_SOCKET))
    try:
        code: int = args.run(harness, args, out)
        sys.stdout.flush()
        return code
    except Failure as failure:
        if out.as_json:
            print(json.dumps({"error": failure.error, "message": failure.message}))
        else:
            print(f"curate: {failure.message}", file=sys.stderr)
        return failure.exit_code
    except BrokenPipeError:  # the reader of our output left, e.g. `curate task | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
