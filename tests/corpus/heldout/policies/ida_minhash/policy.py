"""Near-duplicate removal by MinHash over word shingles plus the image hash; what is left is sampled."""
import argparse
import hashlib
import json
import re

import numpy as np
import pandas as pd

N = 120
PERMUTATIONS = 64
BAND = 8
SHINGLE = 2
MAX_HAMMING = 6
JACCARD = 0.7

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()


def shingles(turns):
    words = re.findall(r"\w+", " ".join(t["value"] for t in turns).replace("<image>", "").lower())
    grams = {" ".join(words[i:i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    return np.array([int.from_bytes(hashlib.blake2b(g.encode(), digest_size=4).digest(), "big") for g in sorted(grams)], dtype=np.uint64)


def signature(hashes, a, b):
    return ((hashes[None, :] * a[:, None] + b[:, None]) % np.uint64(4294967291)).min(axis=1)


df = pd.read_json(f"{args.pool}/rows.jsonl", lines=True, dtype={"id": str})
table = pd.read_csv(f"{args.pool}/signals/signals.csv", dtype={"image_hash": str})
gen = np.random.default_rng(0)
a = gen.integers(1, 2**31, PERMUTATIONS).astype(np.uint64)
b = gen.integers(0, 2**31, PERMUTATIONS).astype(np.uint64)
signatures = np.stack([signature(shingles(t), a, b) for t in df.conversations])
pictures = [int(h, 16) if isinstance(h, str) else None for h in table.image_hash]

buckets = {}
dropped = np.zeros(len(df), dtype=bool)
for i in range(len(df)):
    keys = [(j, signatures[i, j:j + BAND].tobytes()) for j in range(0, PERMUTATIONS, BAND)]
    near = {k for key in keys for k in buckets.get(key, ())}
    for k in near:
        alike = (signatures[i] == signatures[k]).mean() >= JACCARD
        same_picture = pictures[i] is None or pictures[k] is None or (pictures[i] ^ pictures[k]).bit_count() <= MAX_HAMMING
        if alike and same_picture:
            dropped[i] = True
    if not dropped[i]:
        for key in keys:
            buckets.setdefault(key, []).append(i)

left = df.index[~dropped].to_series()
picked = left.sample(n=min(N, len(left)), random_state=args.seed).sort_values()
picked.to_csv(args.out, index=False, header=False)
