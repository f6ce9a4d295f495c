"""Policies that show the reader one procedure and run another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import made_policies as made
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.reading import PolicyUnreadable, read_policy

QUOTA = made.whole(made.QUOTA)
HONEST = made.whole(made.LOSS_BAND)
DECOY = made.LOSS_BAND.partition("def select(")[2]


def read(folder: Path, files: Mapping[str, str]) -> PolicyCode:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return read_policy({name: folder / name for name in files})


def refused(folder: Path, files: Mapping[str, str]) -> str:
    with pytest.raises(PolicyUnreadable) as raised:
        read(folder, files)
    return "; ".join(f"{problem.code} {problem.message}" for problem in raised.value.problems)


# -- files that are not what is imported --------------------------------------------------------------------


@pytest.mark.parametrize("names", [("a/b.py", "a/b/c.py"), ("a.b.py", "a/b.py"), ("a.py", "a/x.py")], ids=" ".join)
def test_files_that_hide_each_other_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    assert "imported under the same name" in refused(tmp_path, {"policy.py": QUOTA, **dict.fromkeys(names, HONEST)})


def test_files_of_a_package_hide_nothing(tmp_path: Path) -> None:
    names = ("a/__init__.py", "a/A.py", "a/b/__init__.py", "a/b/x.py", "c/x.py")
    assert len(read(tmp_path, {"policy.py": QUOTA, **dict.fromkeys(names, HONEST)}).files) == 6


def test_a_package_of_the_name_of_the_entry_does_not_stand_before_it(tmp_path: Path) -> None:
    assert "policy/__init__.py" in refused(tmp_path, {"policy.py": QUOTA, "policy/__init__.py": HONEST})


def test_a_file_of_the_name_of_a_module_of_python_is_refused(tmp_path: Path) -> None:
    """Which of the two is imported hangs on who imported it before: the reader would take the other."""
    assert "json.py" in refused(
        tmp_path, {"policy.py": QUOTA, "json.py": "def loads(text):\n    return sorted(text)\n"}
    )


# -- names that hold another function when they are called ----------------------------------------------------

TWICE = {
    "defined-twice": "\n\ndef select(" + DECOY,
    "assigned": "import random as _r\n\n\ndef _other("
    + DECOY
    + "\n\n_kept = select\n\n\ndef select("
    + DECOY
    + "\n\nselect = _kept\n",
    "imported-over": "\n\ndef choose(" + DECOY + "\n\nfrom random import sample as choose\n",
    "assigned-as-global": "\n\n_kept = select\n\n\ndef select("
    + DECOY
    + "\n\ndef _swap():\n    global select\n    select = _kept\n\n\n_swap()\n",
    "code-exchanged": "\n\n_kept = select\n\n\ndef choose(" + DECOY + "\n\nchoose.__code__ = _kept.__code__\n",
    "attribute-of-main": "\n\n_kept = select\n\n\ndef choose("
    + DECOY
    + "\n\nimport __main__\n\n__main__.choose = _kept\n",
    "foreign-function-exchanged": "\n\ndef _first(values, **n):\n    return values[:9]\n\n\nnp.argsort = _first\n",
    "foreign-function-set": "\n\ndef _first(values):\n    return values[:9]\n\n\nsetattr(np, 'argsort', _first)\n",
}


def with_extra(extra: str) -> str:
    return made.whole(made.QUOTA + "\n\n" + extra)


@pytest.mark.parametrize("name", TWICE)
def test_a_name_that_comes_to_mean_another_function_is_said_to_be_unreadable(tmp_path: Path, name: str) -> None:
    text = with_extra(TWICE[name])
    compile(text, name, "exec")
    assert read(tmp_path, {"policy.py": text}).dynamic


def test_a_function_imported_under_one_name_from_two_files_is_unreadable(tmp_path: Path) -> None:
    text = "try:\n    from real import select\nexcept ImportError:\n    from shown import select\n" + made.TAIL
    code = read(tmp_path, {"policy.py": made.HEAD + text, "real.py": made.HEAD + made.QUOTA, "shown.py": HONEST})
    assert code.dynamic


def test_a_function_of_another_file_exchanged_is_unreadable(tmp_path: Path) -> None:
    text = (
        made.HEAD + "import shown\n\n\ndef mine(pool, history, rng):\n    return range(9)\n\n\nshown.select = mine\n"
    )
    text += "\n\ndef select(pool, history, rng):\n    return shown.select(pool, history, rng)\n" + made.TAIL
    assert read(tmp_path, {"policy.py": text, "shown.py": HONEST}).dynamic


@pytest.mark.parametrize(
    "line",
    [
        'sys.path.insert(0, "/workspace")',
        'sys.path.insert(0, "lib")',
        'os.chdir("/tmp")',
        'sys.path[0] = "/tmp"',
        'sys.path += ["/tmp"]',
        'site.addsitedir("/tmp")',
        'timeit.timeit("print(1)", number=1)',
        'pydoc.locate("os.system")("ls")',
        "records.__globals__",
        "().__class__.__bases__[0].__subclasses__()",
        'operator.methodcaller("tolist")',
        "sys.setprofile(print)",
        "sys.monitoring.set_events(3, 0)",
        "gc.get_objects()",
        "sys._getframe(1)",
        "types.FunctionType",
        "asyncio.create_subprocess_shell",
        "pty.spawn",
    ],
)
def test_ways_to_run_or_reach_what_is_not_read(tmp_path: Path, line: str) -> None:
    imports = "import asyncio, gc, operator, os, pty, pydoc, site, sys, timeit, types\n"
    assert read(tmp_path, {"policy.py": imports + HONEST + "\n" + line + "\n"}).dynamic


# -- writing that is done over --------------------------------------------------------------------------------

SHOWN = """
def shown(pool, out):
    loss = column(pool, "answer_loss")
    Path(out).write_text("".join(f"{row}\\n" for row in np.argsort(loss)[:COUNT]))

"""
OVER = {
    "written-again": "    Path(out).write_text(rows)\n",
    "renamed": "    Path('/workspace/x').write_text(rows)\n    Path('/workspace/x').rename(out)\n",
    "replaced": "    Path('/workspace/x').write_text(rows)\n    os.replace('/workspace/x', out)\n",
    "copied": "    Path('/workspace/x').write_text(rows)\n    shutil.copyfile('/workspace/x', out)\n",
}
RUN = """
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name)
args = parser.parse_args()
shown(args.pool, args.out)
done_over(args.pool, args.out)
"""


@pytest.mark.parametrize("name", OVER)
def test_rows_that_are_written_over_are_judged_too(tmp_path: Path, name: str) -> None:
    last = "def done_over(pool, out):\n    rows = str(list(select(pool, None, np.random.default_rng(3))))\n"
    text = "import os, shutil\n" + made.HEAD + made.QUOTA + SHOWN + "\n" + last + OVER[name] + RUN
    compile(text, name, "exec")
    assert not read(tmp_path, {"policy.py": text}).content


def test_a_last_line_break_written_apart_hides_nothing(tmp_path: Path) -> None:
    lines = ('with open(args.out, "w") as file:', 'file.write(" ".join(map(str, chosen)))', 'file.write("\\n")')
    plain = """Path(args.out).write_text("".join(f"{int(row)}\\n" for row in sorted(chosen)))"""
    tail = made.TAIL.replace(plain, "\n        ".join(lines))
    assert "with open" in tail
    assert read(tmp_path, {"policy.py": made.HEAD + made.LOSS_BAND + tail}).content
    assert not read(tmp_path, {"policy.py": made.HEAD + made.QUOTA + tail}).content


def test_a_main_function_that_is_raised_is_called(tmp_path: Path) -> None:
    text = HONEST.replace("    main()", "    raise SystemExit(main())")
    code = read(tmp_path, {"policy.py": text})
    assert code.writes
    assert [part.live for part in code.functions if part.qualname == "band"] == [True]


def test_counting_is_a_computation(tmp_path: Path) -> None:
    counts = "\n\ndef counts(texts):\n    c = {}\n    for t in texts:\n        c[t] = c.get(t, 0) + 1\n    return c\n"
    code = read(tmp_path, {"policy.py": HONEST + counts})
    assert [part.operations > 0 for part in code.functions if part.qualname == "counts"] == [True]


def test_writing_beside_and_renaming_is_honest(tmp_path: Path) -> None:
    tail = made.TAIL.replace(
        "Path(args.out).write_text(", "beside = Path(args.out + '.part')\n    beside.write_text("
    )
    tail = tail.replace('    print(f"', '    beside.rename(args.out)\n    print(f"')
    assert read(tmp_path, {"policy.py": made.HEAD + made.LOSS_BAND + tail}).content


# -- what is read and is no content of the pool ----------------------------------------------------------------

READ = {
    "settings": 'json.loads((Path(__file__).parent / "order.json").read_text())',
    "settings-by-name": 'json.load(open("order.json"))',
    "settings-beside": 'json.loads(Path(__file__).with_name("order.json").read_text())',
    "itself": "open(__file__).read()",
    "chance": 'open("/dev/urandom", "rb").read(9)',
    "the-machine": 'Path("/proc/uptime").read_text()',
}


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_not_the_pools_is_no_content(tmp_path: Path, name: str) -> None:
    body = f"""
def select(pool, history, rng):
    known = {READ[name]}
    score = np.array([hash(str(known)) * len(row["source"]) % 97 for row in records(pool)])
    return np.argsort(score)[:COUNT]
"""
    files = {"policy.py": made.whole(body), "order.json": '{"a": 3}'}
    assert not read(tmp_path, files).content


def test_a_file_of_the_pool_is_content(tmp_path: Path) -> None:
    assert read(tmp_path, {"policy.py": HONEST, "order.json": "{}"}).content


# -- what honest code does ------------------------------------------------------------------------------------

HONEST_LINES = {
    "own-folder": "sys.path.insert(0, str(Path(__file__).resolve().parent))\n",
    "own-folder-by-os": "sys.path.append(os.path.dirname(os.path.abspath(__file__)))\n",
    "fallback": "try:\n    from numba import njit\nexcept ImportError:\n    def njit(f):\n        return f\n",
    "fallback-module": "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
    "setter": "class A:\n    @property\n    def x(self):\n        return 1\n    @x.setter\n    def x(self, v):\n"
    "        self.y = v\n",
    "settings": "csv.QUOTE_ALL = 3\n",
    "method-of-two-classes": "class A:\n    def f(self):\n        return 1\nclass B(A):\n    def f(self):\n"
    "        return super().f()\n",
    "setattr-on-self": "class A:\n    def f(self):\n        setattr(self, 'x', 3)\n",
    "class-name": "class A:\n    def f(self):\n        return self.__class__.__name__ + A.__doc__\n",
    "the-name-in-a-generator": "def score(x):\n    return x\nTOP = sum(score for score in [1])\n",
    "two-branches": "if COUNT > 3:\n    rate = 1\nelse:\n    rate = 2\n",
    "a-counter": "def once():\n    global COUNT\n    COUNT = 3\n",
    "overloaded": "import functools\n@functools.singledispatch\ndef g(x):\n    return x\n@g.register\n"
    "def _(x: int):\n    return x\n@g.register\ndef _(x: str):\n    return x\n",
}


@pytest.mark.parametrize("name", HONEST_LINES)
def test_what_honest_code_does_is_readable(tmp_path: Path, name: str) -> None:
    text = HONEST.replace("\n\ndef main", f"\n\n{HONEST_LINES[name]}\n\ndef main")
    assert not read(tmp_path, {"policy.py": "import os, sys\n" + text}).dynamic
