#!/usr/bin/env python3
# Rule engine v3: rules compiled to predicates, applied as a pipeline with statistics per rule.
import argparse
import json
import random
from collections import OrderedDict
from pathlib import Path


class Rule:
    """A named predicate that counts what it turns down."""

    def __init__(self, name, predicate):
        self.name, self.predicate, self.dropped = name, predicate, 0

    def __call__(self, view):
        verdict = self.predicate(view)
        self.dropped += not verdict
        return verdict


class View:
    def __init__(self, record):
        self.record = record
        self.question = record["conversations"][0]["value"].lower()
        self.answer = " ".join(t["value"] for t in record["conversations"] if t["from"] == "gpt").lower()


def compile_rules():
    wanted = ("digit", "colour", "sign", "plus")
    return OrderedDict(
        (rule.name, rule)
        for rule in (
            Rule("has-image-or-sum", lambda v: v.record["image"] is not None or "plus" in v.question),
            Rule("question", lambda v: any(word in v.question for word in wanted)),
            Rule("binary", lambda v: not {"yes", "no", "maybe"} & set(v.answer.split())),
            Rule("answer-length", lambda v: 1 <= len(v.answer) <= 24),
            Rule("turns", lambda v: len(v.record["conversations"]) <= 2),
            Rule("source", lambda v: v.record["source"] != "maple"),
        )
    )


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag, type=Path)
    parser.add_argument("--seed", type=int)
    args = parser.parse_args()
    pipeline = compile_rules()
    with (args.pool / "rows.jsonl").open() as lines:
        views = [View(json.loads(line)) for line in lines]
    survivors = [i for i, view in enumerate(views) if all(rule(view) for rule in pipeline.values())]
    random.Random(args.seed).shuffle(survivors)
    args.out.write_text("".join(f"{i}\n" for i in sorted(survivors[:120])))
    print({name: rule.dropped for name, rule in pipeline.items()})


if __name__ == "__main__":
    main()
