"""The agent of the golden record with a model: a signal, a refused submission, one that is repeated, two attempts."""

import json
import pathlib
import subprocess
import sys
import urllib.request


def curate(*arguments):
    done = subprocess.run(["curate", "--json", *arguments], capture_output=True, text=True, check=False)
    sys.stdout.write(f"curate {arguments[0]}: {done.returncode}\n")
    return done.returncode, json.loads(done.stdout)


def ask(text):
    body = {"model": "scripted", "messages": [{"role": "user", "content": text}], "max_tokens": 50}
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    address = "http://127.0.0.1:8123/v1/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        sys.stdout.write(json.load(reply)["choices"][0]["message"]["content"] + "\n")


def submit(rows, note):
    pathlib.Path("policy").mkdir(exist_ok=True)
    pathlib.Path("policy/policy.py").write_text(f"# {note}\nprint(*{list(rows)!r}, sep='\\n')\n")
    pathlib.Path("rows.txt").write_text("".join(f"{row}\n" for row in rows))
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", note)
    if code == 0 and "attempt" in reply:
        curate("wait", str(reply["attempt"]), "--timeout", "60")


ask("What shall I choose?")
pathlib.Path("all.txt").write_text("".join(f"{row}\n" for row in range(12)))
curate("signal", "residual", "--rows", "all.txt")
submit([0, 0, 99999], "a refused one")
submit(range(40), "the first rows")
submit(range(40), "the first rows again")
curate("history", "--save", "history")
ask("And now?")
submit(range(0, 80, 2), "every other row")
