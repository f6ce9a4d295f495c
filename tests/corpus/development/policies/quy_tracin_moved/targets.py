"""Which benchmark is weakest, and which rows of the pool ask the same kind of question."""

KINDS = {"facts": ["plus", "opposite"], "signs": ["sign"], "colours": ["colour"], "digits": ["number", "digit"]}


def weakest_benchmark(history):
    scores = history["attempts"][-1]["feedback"]["by_benchmark"]
    lowest = None
    for name in sorted(scores):
        if lowest is None or scores[name]["mean"] < scores[lowest]["mean"]:
            lowest = name
    return lowest


def rows_like(kind, questions):
    out = []
    for position, question in enumerate(questions):
        for mark in KINDS[kind]:
            if mark in question:
                out.append(position)
                break
    return out
