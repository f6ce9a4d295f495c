#!/usr/bin/env python3
# rule-based filter; the rules are in rules.json
import argparse, json, os, random

def passes(row, rules):
    q = row["conversations"][0]["value"].lower()
    ans = " ".join(t["value"] for t in row["conversations"] if t["from"] == "gpt").lower()
    if rules["needs_image"] and not row["image"]:
        return False
    if not any(k in q for k in rules["keep_if_question_has"]):
        return False
    if any(w in ans.split() for w in rules["drop_if_answer_has"]):
        return False
    low, high = rules["answer_chars"]
    return low <= len(ans) <= high

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()
rules = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.json")))
rows = [json.loads(l) for l in open(os.path.join(args.pool, "rows.jsonl"))]
ok = [i for i, r in enumerate(rows) if passes(r, rules)]
rnd = random.Random(args.seed)
rnd.shuffle(ok)
with open(args.out, "w") as f:
    for i in sorted(ok[: rules["total"]]):
        f.write(str(i) + "\n")
