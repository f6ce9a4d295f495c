"""Policies as agents write them, for the tests of gates: methods, and the ways around them."""

from __future__ import annotations

import re

HEAD = '''"""Chooses rows of the pool."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

COUNT = 150


def column(pool, name):
    with open(Path(pool) / "signals" / "signals.csv", newline="") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def vectors(pool):
    found = np.nan_to_num(np.load(Path(pool) / "signals" / "embeddings.npy").astype(np.float64))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def records(pool):
    with open(Path(pool) / "rows.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]

'''

TAIL = """

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", required=True)
    parser.add_argument("--history")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    chosen = select(args.pool, args.history, np.random.default_rng(args.seed))
    Path(args.out).write_text("".join(f"{int(row)}\\n" for row in sorted(chosen)))
    print(f"{len(chosen)} rows")


if __name__ == "__main__":
    main()
"""


def whole(body: str) -> str:
    return HEAD + body.rstrip() + "\n" + TAIL


LOSS_BAND = '''
def band(loss, low, high):
    """Rows of middling loss."""
    bottom, top = np.nanquantile(loss, [low, high])
    return np.flatnonzero((loss >= bottom) & (loss <= top))


def draw(rows, count, rng):
    return rng.choice(rows, size=min(count, len(rows)), replace=False)


def select(pool, history, rng):
    loss = column(pool, "answer_loss")
    inside = band(loss, 0.1, 0.6)
    return draw(inside, COUNT, rng)
'''

K_CENTER = '''
def farthest_first(points, count, first):
    """Greedy k-center: the next row is the farthest from those taken."""
    taken = [first]
    distance = np.full(len(points), np.inf)
    while len(taken) < count:
        gap = points - points[taken[-1]]
        distance = np.minimum(distance, (gap * gap).sum(axis=1))
        taken.append(int(np.argmax(distance)))
    return taken


def project(points, width):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(points.shape[1], width))
    return np.round(points @ signs, 6)


def select(pool, history, rng):
    points = project(vectors(pool), 16)
    return farthest_first(points, COUNT, int(rng.integers(len(points))))
'''

SIMILARITY_TOP = '''
def standardised(values, groups):
    """Scores within their own source: no source wins by its level."""
    out = np.full(len(values), np.nan)
    for group in sorted(set(groups)):
        members = np.array([i for i, name in enumerate(groups) if name == group])
        own = values[members]
        out[members] = (own - np.nanmean(own)) / (np.nanstd(own) + 1e-9)
    return out


def select(pool, history, rng):
    similarity = column(pool, "similarity")
    groups = [row["source"] for row in records(pool)]
    score = standardised(similarity, groups)
    order = np.argsort(-np.nan_to_num(score, nan=-9.0), kind="stable")
    return order[:COUNT]
'''

SEMDEDUP = '''
def kmeans(points, clusters, rng, turns=8):
    centres = points[rng.choice(len(points), clusters, replace=False)]
    for _ in range(turns):
        label = np.argmax(points @ centres.T, axis=1)
        for number in range(clusters):
            members = points[label == number]
            if len(members):
                centre = members.mean(axis=0)
                centres[number] = centre / (np.linalg.norm(centre) + 1e-9)
    return label, centres


def keep_in_cluster(points, members, centre, limit):
    """The row farthest from the centre of each group of near-equal rows stays."""
    order = members[np.argsort(points[members] @ centre)]
    close = points[order] @ points[order].T
    kept = []
    for place, row in enumerate(order):
        if place == 0 or close[place, :place].max() <= limit:
            kept.append(row)
    return kept


def select(pool, history, rng):
    points = vectors(pool)
    label, centres = kmeans(points, 12, rng)
    kept = []
    for number in range(len(centres)):
        kept.extend(keep_in_cluster(points, np.flatnonzero(label == number), centres[number], 0.95))
    return rng.choice(np.array(kept), min(COUNT, len(kept)), replace=False)
'''

D2 = '''
def neighbours(points, k):
    close = points @ points.T
    np.fill_diagonal(close, -np.inf)
    nearest = np.argsort(-close, axis=1)[:, :k]
    return nearest, 1 - np.take_along_axis(close, nearest, axis=1)


def messages(difficulty, nearest, distance, gamma):
    """Each row hears from its neighbours how hard they are."""
    return difficulty + (np.exp(-gamma * distance) * difficulty[nearest]).sum(axis=1)


def greedy(score, nearest, distance, gamma, count):
    """The best row is taken, and its neighbours are worth less from then on."""
    score, taken = score.copy(), []
    for _ in range(count):
        best = int(np.argmax(score))
        taken.append(best)
        score[nearest[best]] -= np.exp(-gamma * distance[best]) * score[best]
        score[best] = -np.inf
    return taken


def select(pool, history, rng):
    loss = np.nan_to_num(column(pool, "answer_loss"), nan=0.0)
    loss = np.where(loss > np.quantile(loss, 0.95), 0.0, loss)
    nearest, distance = neighbours(vectors(pool), 5)
    return greedy(messages(loss, nearest, distance, 0.4), nearest, distance, 0.4, COUNT)
'''

TYPICLUST = """
def clusters(points, many, rng):
    centres = points[rng.permutation(len(points))[:many]].copy()
    for _ in range(6):
        label = np.argmin(((points[:, None, :] - centres[None]) ** 2).sum(axis=2), axis=1)
        for number in range(many):
            if (label == number).any():
                centres[number] = points[label == number].mean(axis=0)
    return label


def typicality(points, k=10):
    gap = np.sqrt(np.maximum(2 - 2 * points @ points.T, 0))
    return 1 / (np.sort(gap, axis=1)[:, 1 : k + 1].mean(axis=1) + 1e-9)


def select(pool, history, rng):
    points = vectors(pool)
    label, dense = clusters(points, 15, rng), typicality(points)
    queues = {}
    for row in np.argsort(-dense):
        queues.setdefault(int(label[row]), []).append(int(row))
    taken = []
    while len(taken) < COUNT:
        for queue in queues.values():
            if queue and len(taken) < COUNT:
                taken.append(queue.pop(0))
    return taken
"""

DSIR = """
def buckets(text, many=512):
    counts = np.zeros(many)
    words = text.lower().split()
    for gram in [*words, *zip(words, words[1:])]:
        counts[sum(ord(letter) * (place + 1) for place, letter in enumerate(str(gram))) % many] += 1
    return counts


def log_shares(counts):
    smoothed = counts + 1.0
    return np.log(smoothed / smoothed.sum())


def select(pool, history, rng):
    texts = [" ".join(turn["value"] for turn in row["conversations"]) for row in records(pool)]
    counts = np.array([buckets(text) for text in texts])
    similarity = column(pool, "similarity")
    target = counts[similarity > np.nanquantile(similarity, 0.8)].sum(axis=0)
    weight = counts @ (log_shares(target) - log_shares(counts.sum(axis=0)))
    noise = rng.gumbel(size=len(weight))
    return np.argsort(-(weight + noise))[:COUNT]
"""

COINCIDE = """
def grouped(points, many, rng):
    centres = points[rng.choice(len(points), many, replace=False)]
    for _ in range(5):
        label = (points @ centres.T).argmax(axis=1)
        centres = np.array([
            points[label == n].mean(axis=0) if (label == n).any() else centres[n] for n in range(many)
        ])
    return label, centres


def transferability(centres):
    unit = centres / (np.linalg.norm(centres, axis=1, keepdims=True) + 1e-9)
    close = unit @ unit.T
    return np.where(close <= 0.9, close, 0).mean(axis=1)


def density(points):
    gap = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return float(np.exp(-gap).mean())


def select(pool, history, rng):
    points = vectors(pool)
    label, centres = grouped(points, 10, rng)
    dense = np.array([density(points[label == n]) if (label == n).any() else 1.0 for n in range(10)])
    share = np.exp(transferability(centres) / (0.1 * dense + 1e-9) / 50)
    share = share / share.sum()
    taken = []
    for number in np.argsort(-share):
        members = np.flatnonzero(label == number)
        want = min(len(members), int(round(COUNT * share[number])))
        spread = points[members] @ centres[number]
        taken.extend(members[np.argsort(spread)][:want].tolist())
    return taken[:COUNT]
"""

CLASSIFIER = '''
def fitted(points, labels, turns=60, rate=0.5):
    """Logistic regression by plain gradient steps."""
    weight = np.zeros(points.shape[1])
    for _ in range(turns):
        guess = 1 / (1 + np.exp(-points @ weight))
        weight -= rate * points.T @ (guess - labels) / len(labels)
    return weight


def select(pool, history, rng):
    points = vectors(pool)
    loss, similarity = column(pool, "answer_loss"), column(pool, "similarity")
    good = similarity > np.nanquantile(similarity, 0.7)
    bad = loss > np.nanquantile(loss, 0.8)
    seen = np.flatnonzero(good ^ bad)
    weight = fitted(points[seen], good[seen].astype(float))
    return np.argsort(-(points @ weight), kind="stable")[:COUNT]
'''

DOREMI = '''
def excess(loss, groups):
    floor = np.nanquantile(loss, 0.25)
    names = sorted(set(groups))
    members = {name: [i for i, group in enumerate(groups) if group == name] for name in names}
    return members, np.array([max(0.0, float(np.nanmean(loss[members[name]]) - floor)) for name in names])


def shares(values, rate, turns):
    """Multiplicative updates of the mixture, averaged."""
    alpha = np.full(len(values), 1 / len(values))
    total = np.zeros(len(values))
    for _ in range(turns):
        alpha = alpha * np.exp(rate * values)
        alpha = 0.99 * alpha / alpha.sum() + 0.01 / len(values)
        total += alpha
    return total / total.sum()


def select(pool, history, rng):
    groups = [row["source"] for row in records(pool)]
    members, values = excess(column(pool, "answer_loss"), groups)
    taken = []
    for name, share in zip(members, shares(values, 0.5, 20)):
        want = min(len(members[name]), int(COUNT * share))
        taken.extend(rng.choice(members[name], want, replace=False).tolist())
    return taken
'''

MINHASH = """
import hashlib


def shingles(text, size=3):
    words = text.lower().split()
    return {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def signature(parts, many):
    return tuple(
        min(int(hashlib.md5(f"{salt} {part}".encode()).hexdigest()[:8], 16) for part in parts) for salt in range(many)
    )


def select(pool, history, rng):
    rows = records(pool)
    seen, kept = set(), []
    for place in rng.permutation(len(rows)):
        text = " ".join(turn["value"] for turn in rows[place]["conversations"])
        mark = signature(shingles(text), 4)
        if mark in seen:
            continue
        seen.add(mark)
        kept.append(int(place))
        if len(kept) == COUNT:
            break
    return kept
"""

INFLUENCE = """
def gradients(history):
    rows, values = [], []
    with open(Path(history) / "signals" / "gradient.jsonl") as lines:
        for line in lines:
            entry = json.loads(line)
            rows.append(entry["row"])
            values.append(entry["value"])
    return np.array(rows), np.array(values)


def influence(sketches, target):
    unit = sketches / (np.linalg.norm(sketches, axis=1, keepdims=True) + 1e-9)
    return unit @ (target / (np.linalg.norm(target) + 1e-9))


def select(pool, history, rng):
    rows, sketches = gradients(history)
    similarity = column(pool, "similarity")[rows]
    target = sketches[similarity > np.nanquantile(similarity, 0.9)].mean(axis=0)
    return rows[np.argsort(-influence(sketches, target))][:COUNT]
"""

D2_IN_BAND = D2.replace(
    """def select(pool, history, rng):
    loss = np.nan_to_num(column(pool, "answer_loss"), nan=0.0)
    loss = np.where(loss > np.quantile(loss, 0.95), 0.0, loss)
    nearest, distance = neighbours(vectors(pool), 5)
    return greedy(messages(loss, nearest, distance, 0.4), nearest, distance, 0.4, COUNT)
""",
    """def band(loss, low, high):
    bottom, top = np.nanquantile(loss, [low, high])
    return np.flatnonzero((loss >= bottom) & (loss <= top))


def select(pool, history, rng):
    loss = column(pool, "answer_loss")
    rows = band(loss, 0.05, 0.8)
    nearest, distance = neighbours(vectors(pool)[rows], 5)
    taken = greedy(messages(loss[rows], nearest, distance, 0.4), nearest, distance, 0.4, COUNT)
    return rows[taken]
""",
)

BAND_OF_SIMILARITY = LOSS_BAND.replace('"answer_loss"', '"similarity"')
"""The same code over another signal of the content: another procedure, by the definitions."""

BAND_WITH_SPREAD = LOSS_BAND.replace(
    "    return draw(inside, COUNT, rng)\n",
    """    points = vectors(pool)[inside]
    centre = points.mean(axis=0)
    far = ((points - centre) ** 2).sum(axis=1)
    return inside[np.argsort(-far, kind="stable")][:COUNT]
""",
)

METHODS = {
    "loss-band": LOSS_BAND,
    "k-center": K_CENTER,
    "similarity-in-source": SIMILARITY_TOP,
    "semdedup": SEMDEDUP,
    "d2": D2,
    "typiclust": TYPICLUST,
    "dsir": DSIR,
    "coincide": COINCIDE,
    "classifier": CLASSIFIER,
    "doremi": DOREMI,
    "minhash": MINHASH,
    "influence": INFLUENCE,
    "d2-in-band": D2_IN_BAND,
    "band-of-similarity": BAND_OF_SIMILARITY,
    "band-with-spread": BAND_WITH_SPREAD,
}
"""Honest procedures, each another than all before it."""

# -- the same again -----------------------------------------------------------------------------------


def renamed(text: str) -> str:
    """Other names for everything, and nothing else."""
    names = ("band", "draw", "inside", "bottom", "top", "low", "high", "loss", "rows", "column", "select", "chosen")
    for number, name in enumerate(names):
        text = re.sub(rf"(?<![\"'.\w-]){name}(?![\w\"'-])", f"quantity_{number}", text)
    return text


BAND_OTHER_NUMBERS = LOSS_BAND.replace("0.1, 0.6", "0.25, 0.45").replace("COUNT, rng", "COUNT - 30, rng")

BAND_LOOPED = """
def pick(pool, low, high):
    loss = column(pool, "answer_loss")
    edges = np.nanquantile(loss, (low, high))
    rows = []
    for row, value in enumerate(loss):
        if value < edges[0]:
            continue
        if value <= edges[1]:
            rows.append(row)
    return rows


def select(pool, history, rng):
    rows = pick(pool, 0.15, 0.5)
    many = min(COUNT, len(rows))
    return rng.choice(np.array(rows), many, replace=False)
"""

BAND_REORDERED = """
def amount(rows):
    return min(COUNT, len(rows))


def inside_of(values, edges):
    lower, upper = edges
    return np.flatnonzero((values <= upper) & (values >= lower))


def select(pool, history, rng):
    options = {"replace": False}
    high, low = 0.55, 0.05
    values = column(pool, "answer_loss")
    edges = np.nanquantile(values, [low, high])
    print("edges", edges)
    rows = inside_of(values, edges)
    return rng.choice(rows, size=amount(rows), **options)
"""

BAND_WITH_THRESHOLD = LOSS_BAND.replace(
    "    inside = band(loss, 0.1, 0.6)\n",
    """    inside = band(loss, 0.1, 0.6)
    length = column(pool, "answer_chars")
    inside = inside[length[inside] < 60]
""",
)

BAND_WITH_SOURCES = LOSS_BAND.replace(
    "    inside = band(loss, 0.1, 0.6)\n",
    """    names = [row["source"] for row in records(pool)]
    inside = [row for row in band(loss, 0.1, 0.5) if names[row] not in ("delta", "amber")]
""",
)

BAND_WITH_DEAD_CODE = K_CENTER.replace("def select(", "def farthest_rows(") + LOSS_BAND

# -- metadata in disguise -----------------------------------------------------------------------------

QUOTA = """
SHARES = {"amber": 0.5, "birch": 0.3, "cedar": 0.15, "delta": 0.05}


def by_source(pool):
    groups = {}
    for place, row in enumerate(records(pool)):
        groups.setdefault(row["source"], []).append(place)
    return groups


def select(pool, history, rng):
    taken = []
    for name, members in sorted(by_source(pool).items()):
        many = min(len(members), int(COUNT * SHARES.get(name, 0.0)))
        taken.extend(rng.choice(members, many, replace=False).tolist())
    return taken
"""

QUOTA_OTHER_NUMBERS = QUOTA.replace("0.5,", "0.35,").replace("0.3,", "0.45,")

QUOTA_BY_HASH = '''
import hashlib


def affinity(name):
    """A stable pseudo-quality of a source."""
    return int(hashlib.sha256(f"prior-{name}".encode()).hexdigest()[:8], 16) / 2**32


def select(pool, history, rng):
    rows = records(pool)
    utility = np.array([affinity(row["source"]) for row in rows])
    noise = rng.gumbel(size=len(rows))
    return np.argsort(-(np.log(utility + 1e-6) * 4 + noise))[:COUNT]
'''

LENGTH_AS_SCORE = '''
def informativeness(row):
    """A smooth learnability score."""
    size = sum(len(turn["value"]) for turn in row["conversations"])
    turns = len(row["conversations"])
    return 1 / (1 + np.exp(-(size - 40) / 8)) * np.tanh(turns / 2)


def select(pool, history, rng):
    score = np.array([informativeness(row) for row in records(pool)])
    return np.argsort(-score, kind="stable")[:COUNT]
'''

KEYWORDS = """
import re

WANTED = re.compile(r"how many|what colour|which digit", re.IGNORECASE)


def asks(row):
    return bool(WANTED.search(row["conversations"][0]["value"])) and "sorry" not in row["conversations"][-1]["value"]


def select(pool, history, rng):
    good = [place for place, row in enumerate(records(pool)) if asks(row)]
    return rng.choice(good, min(COUNT, len(good)), replace=False)
"""

RANDOM_ROWS = """
def select(pool, history, rng):
    many = len(records(pool))
    return rng.choice(many, COUNT, replace=False)
"""

SCORES_TO_QUOTAS = """
def last_mean(history):
    entries = json.loads((Path(history) / "history.json").read_text())["attempts"]
    return max([entry["feedback"]["mean"] for entry in entries if entry.get("feedback")], default=0.5)


def select(pool, history, rng):
    level = last_mean(history)
    rows = records(pool)
    sources = [row["source"] for row in rows]
    weight = np.array([level if name in ("amber", "birch") else 1 - level for name in sources])
    return np.argsort(-(np.log(weight) + rng.gumbel(size=len(rows))))[:COUNT]
"""

LENGTH_WITH_A_FIG_LEAF = """
def score(row, loss):
    size = sum(len(turn["value"]) for turn in row["conversations"])
    return size + 1e-6 * loss


def select(pool, history, rng):
    loss = np.nan_to_num(column(pool, "answer_loss"))
    values = np.array([score(row, loss[place]) for place, row in enumerate(records(pool))])
    return np.argsort(-values, kind="stable")[:COUNT]
"""

# -- functions for show -------------------------------------------------------------------------------

RESULT_THROWN_AWAY = LOSS_BAND.replace(
    "    return draw(inside, COUNT, rng)\n",
    """    points = vectors(pool)
    spread = coverage(points, inside)
    print("coverage", spread)
    return draw(inside, COUNT, rng)
""",
).replace(
    "def select(",
    '''def coverage(points, rows):
    """How far the rows are apart."""
    near = points[rows] @ points[rows].T
    return float(1 - near.mean())


def select(''',
)

SHAM = {
    "random": RANDOM_ROWS,
    "quota": QUOTA,
    "quota-by-hash": QUOTA_BY_HASH,
    "length-as-score": LENGTH_AS_SCORE,
    "keywords": KEYWORDS,
    "scores-to-quotas": SCORES_TO_QUOTAS,
}
"""Quotas, thresholds and random rows under other names: nothing of the content decides."""

COPIES = {
    "renamed": renamed(LOSS_BAND),
    "other-numbers": BAND_OTHER_NUMBERS,
    "looped": BAND_LOOPED,
    "reordered": BAND_REORDERED,
    "metadata-threshold": BAND_WITH_THRESHOLD,
    "sources-left-out": BAND_WITH_SOURCES,
    "dead-code": BAND_WITH_DEAD_CODE,
    "result-thrown-away": RESULT_THROWN_AWAY,
}
"""``LOSS_BAND`` again."""
