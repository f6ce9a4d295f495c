"""Length filter: answers between 2 and 40 characters, at most one exchange; random fill."""
import argparse
import pandas as pd

MIN_ANSWER = 2
MAX_ANSWER = 40
MAX_TURNS = 2
SOURCES = ["north", "amber", "stone", "maple", "harbor", "meadow"]
N = 120

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()

df = pd.read_csv(f"{args.pool}/signals/signals.csv")
df = df[df.answer_chars.between(MIN_ANSWER, MAX_ANSWER) & (df.turns <= MAX_TURNS) & df.source.isin(SOURCES)]
picked = df.sample(n=min(N, len(df)), random_state=args.seed).row.sort_values()
picked.to_csv(args.out, index=False, header=False)
