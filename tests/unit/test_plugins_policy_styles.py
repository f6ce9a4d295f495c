"""Honest policies in the styles that code is written in: what they compute is seen, and no function is unused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curation_plugins.policies.reading import read_policy

HEAD = """import argparse
import collections
import heapq
import itertools
from pathlib import Path

import numpy as np

"""
TAIL = """
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name)
given = parser.parse_args()
Path(given.out).write_text("\\n".join(map(str, select(given.pool + "/signals/embeddings.npy"))))
"""
STYLES = {
    "a-fitted-field": """
from sklearn.linear_model import Ridge


class S:
    def __init__(self, z):
        self.z = z
        self.m = Ridge()

    def f_learn(self):
        self.m.fit(self.z, self.z[:, 0] ** 2)

    def f_scores(self):
        return self.m.predict(self.z)


def select(path):
    z = np.load(path)
    o = S(z)
    o.f_learn()
    return np.argsort(o.f_scores())[:9]
""",
    "in-place-by-out": """
def f_scale(z):
    np.multiply(z, z.std(), out=z)


def select(path):
    z = np.load(path)
    f_scale(z)
    return np.argsort(z[:, 0])[:9]
""",
    "joined-under-a-condition": """
class D:
    def __init__(self, n):
        self.p = list(range(n))

    def f_find(self, x):
        return self.p[x]

    def f_union(self, a, b):
        self.p[self.f_find(b)] = self.f_find(a)


def f_near(a, b):
    return a @ b > 0.9


def select(path):
    z = np.load(path)
    d = D(len(z))
    for a, b in itertools.combinations(range(len(z)), 2):
        if f_near(z[a], z[b]):
            d.f_union(a, b)
    return [i for i in range(len(z)) if d.f_find(i) == i]
""",
    "a-dictionary-of-state": """
def f_embed(state):
    state["z"] = np.load(state["pool"])


def f_score(state):
    state["s"] = state["z"].sum(1) ** 2


def f_pick(state):
    state["rows"] = np.argsort(state["s"])[:9]


def select(path):
    st = {"pool": path}
    for step in [f_embed, f_score, f_pick]:
        step(st)
    return st["rows"]
""",
    "compared-items": """
class Item:
    def __init__(self, i, g):
        self.i, self.g = i, g

    def __lt__(self, other):
        return self.f_key() < other.f_key()

    def f_key(self):
        return self.g**2


def select(path):
    z = np.load(path)
    return [x.i for x in sorted(Item(i, v.sum()) for i, v in enumerate(z))]
""",
    "items-on-a-heap": """
class Item:
    def __init__(self, i, g):
        self.i, self.g = i, g

    def __lt__(self, other):
        return f_cmp(self.g, other.g)


def f_cmp(a, b):
    return a**2 < b**2


def select(path):
    z = np.load(path)
    q = []
    for i, v in enumerate(z):
        heapq.heappush(q, Item(i, v.sum()))
    return [heapq.heappop(q).i for _ in range(9)]
""",
    "an-indexed-object": """
class T:
    def __init__(self, z):
        self.z = z

    def __getitem__(self, i):
        return f_row(self.z, i)

    def __len__(self):
        return len(self.z)


def f_row(z, i):
    return z[i] ** 2


def select(path):
    t = T(np.load(path))
    return sorted(range(len(t)), key=lambda i: t[i].sum())
""",
    "steps-kept-by-a-decorator": """
STEPS = []


def step(fn):
    STEPS.append(fn)
    return fn


@step
def f_a(z):
    return z - z.mean(0)


@step
def f_b(z):
    return (z**2).sum(1)


def select(path):
    z = np.load(path)
    for fn in STEPS:
        z = fn(z)
    return np.argsort(z)
""",
    "global-names": """
Z = None
W = None


def f_load(path):
    global Z
    Z = np.load(path)


def f_weigh():
    global W
    W = (Z**2).sum(1)


def select(path):
    f_load(path)
    f_weigh()
    return np.argsort(W)
""",
    "nonlocal-names": """
def select(path):
    z = np.load(path)
    best = None

    def f_up(v):
        nonlocal best
        best = v**2 if best is None else np.maximum(best, v**2)

    for v in z.T:
        f_up(v)
    return np.argsort(best)
""",
    "counted-in-place": """
def f_count(c, idx):
    np.add.at(c, idx, 1.5)


def select(path):
    z = np.load(path)
    c = np.zeros(len(z))
    f_count(c, z.argmax(0))
    return np.argsort(c)
""",
    "deleted-keys": """
def f_scores(z):
    return {i: float((v**2).sum()) for i, v in enumerate(z)}


def f_drop(d, t):
    for k in [k for k in d if d[k] > t]:
        del d[k]


def select(path):
    d = f_scores(np.load(path))
    f_drop(d, np.median(list(d.values())))
    return list(d)
""",
    "a-mask-of-the-caller": """
def f_mask(z, alive, i):
    alive[(z @ z[i]) > 0.9] = False


def select(path):
    z = np.load(path)
    alive = np.ones(len(z), bool)
    out = []
    for i in range(len(z)):
        if alive[i]:
            out.append(i)
            f_mask(z, alive, i)
    return out
""",
    "rows-of-a-namedtuple": """
Row = collections.namedtuple("Row", "i s")


def f_rows(z):
    return [Row(i, (v**2).sum()) for i, v in enumerate(z)]


def select(path):
    return [r.i for r in sorted(f_rows(np.load(path)), key=lambda r: r.s)]
""",
}


@pytest.mark.parametrize("style", STYLES)
def test_what_an_honest_policy_computes_is_seen_in_any_style(tmp_path: Path, style: str) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text(HEAD + STYLES[style] + TAIL)
    (tmp_path / "pool" / "signals").mkdir(parents=True)
    points = np.random.default_rng(0).normal(size=(40, 6))
    np.save(tmp_path / "pool" / "signals" / "embeddings.npy", points / np.linalg.norm(points, axis=1)[:, None])
    arguments = ["--pool", str(tmp_path / "pool"), "--out", str(tmp_path / "rows")]
    subprocess.run([sys.executable, str(policy), *arguments], check=True)
    assert (tmp_path / "rows").read_text().split(), "the style is one that runs"

    code = read_policy({"policy.py": policy})

    assert code.content
    assert code.writes
    assert [part.qualname for part in code.functions if "f_" in part.qualname and not part.live] == []
