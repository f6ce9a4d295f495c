"""Three attempts put together: MinHash left-overs (attempt 2), the length window (attempt 1) and EL2N rank (attempt 3),
one third of the rows from each, without overlap.
"""
import argparse
import hashlib
import re

import numpy as np
import pandas as pd

N = 120
PERMUTATIONS, BAND, SHINGLE, MAX_HAMMING, JACCARD = 64, 8, 2, 6, 0.7
MIN_ANSWER, MAX_ANSWER, MAX_TURNS = 2, 40, 2

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()
df = pd.read_json(f"{args.pool}/rows.jsonl", lines=True, dtype={"id": str})
table = pd.read_csv(f"{args.pool}/signals/signals.csv", dtype={"image_hash": str})


def unique_rows():
    def shingles(turns):
        words = re.findall(r"\w+", " ".join(t["value"] for t in turns).replace("<image>", "").lower())
        grams = {" ".join(words[i:i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
        return np.array([int.from_bytes(hashlib.blake2b(g.encode(), digest_size=4).digest(), "big") for g in sorted(grams)], dtype=np.uint64)

    gen = np.random.default_rng(0)
    a = gen.integers(1, 2**31, PERMUTATIONS).astype(np.uint64)
    b = gen.integers(0, 2**31, PERMUTATIONS).astype(np.uint64)
    signatures = np.stack([((h[None, :] * a[:, None] + b[:, None]) % np.uint64(4294967291)).min(axis=1) for h in map(shingles, df.conversations)])
    pictures = [int(h, 16) if isinstance(h, str) else None for h in table.image_hash]
    buckets, keep = {}, []
    for i in range(len(df)):
        keys = [(j, signatures[i, j:j + BAND].tobytes()) for j in range(0, PERMUTATIONS, BAND)]
        near = {k for key in keys for k in buckets.get(key, ())}
        twin = any(
            (signatures[i] == signatures[k]).mean() >= JACCARD
            and (pictures[i] is None or pictures[k] is None or (pictures[i] ^ pictures[k]).bit_count() <= MAX_HAMMING)
            for k in near
        )
        if not twin:
            keep.append(i)
            for key in keys:
                buckets.setdefault(key, []).append(i)
    return pd.Series(keep)


def in_window():
    return table[table.answer_chars.between(MIN_ANSWER, MAX_ANSWER) & (table.turns <= MAX_TURNS)].row


def hardest():
    return pd.read_json(f"{args.history}/signals/el2n.jsonl", lines=True).sort_values(["value", "row"], ascending=[False, True]).row


third = N // 3
chosen = hardest().head(third).tolist()
for candidates in (unique_rows(), in_window()):
    free = candidates[~candidates.isin(chosen)]
    chosen += free.sample(n=third, random_state=args.seed).tolist()
pd.Series(sorted(chosen)).to_csv(args.out, index=False, header=False)
