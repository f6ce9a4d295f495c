"""The gate of ``adapt``: what passes, and what is refused, by policies that are really run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import made_policies as made
from curation_plugins.gating import EarlierTry
from curation_plugins.scaffolds.adapt import AdaptScaffold
from curation_sandbox.protocol import Problem
from gate_bench import ROWS, Bench, codes, feedback, files, make_cards, make_pool, method

STEPS = {
    "loss-band": ("band", "draw"),
    "k-center": ("project", "farthest_first"),
    "similarity-in-source": ("standardised", "column"),
    "semdedup": ("kmeans", "keep_in_cluster"),
    "d2": ("messages", "greedy"),
    "typiclust": ("clusters", "typicality"),
    "dsir": ("buckets", "log_shares"),
    "coincide": ("grouped", "transferability"),
    "classifier": ("fitted", "vectors"),
    "doremi": ("excess", "shares"),
    "minhash": ("shingles", "signature"),
    "influence": ("gradients", "influence"),
    "d2-in-band": ("band", "greedy"),
    "band-of-similarity": ("band", "draw"),
    "band-with-spread": ("band", "vectors"),
}
"""Two functions of each method, for two steps of a card."""


def steps(first: str, second: str, card: str = "alpha-1") -> list[dict[str, str]]:
    return [
        {"card": card, "step": "s1", "function": f"policy.py:{first}"},
        {"card": card, "step": "s2", "function": f"policy.py:{second}"},
        {"card": card, "step": "s3", "left_out": "the host has measured it already"},
    ]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("gate")
    make_pool(folder)
    bench = Bench(folder, make_cards(folder / "cards"))
    for name, body in made.METHODS.items():
        bench.policy(name, files(body, method(steps=steps(*STEPS[name]))))
    for name, body in {**made.COPIES, **made.SHAM}.items():
        bench.policy(name, files(body, method()))
    bench.policy("renamed", {**files("", method()), "policy.py": made.renamed(made.whole(made.LOSS_BAND))})
    bench.policy("fig-leaf", files(made.LENGTH_WITH_A_FIG_LEAF, method()))
    bench.policy("quota-again", files(made.QUOTA_OTHER_NUMBERS, method()))
    bench.run(list(bench.made))
    return bench


def gate(bench: Bench, name: str, policy: Mapping[str, Path] | None = None, **view: Any) -> Sequence[Problem]:
    shown = policy or {path.name: path for path in bench.made[name].iterdir() if path.suffix in (".py", ".yaml")}
    return AdaptScaffold(bench.library).gate(bench.view(name, shown, **view))


# -- what passes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", made.METHODS)
def test_an_honest_method_passes_as_the_first_attempt(bench: Bench, name: str) -> None:
    assert gate(bench, name) == []


def test_each_honest_method_passes_after_all_the_others(bench: Bench) -> None:
    """With a score to quote, another wording, and cards whose families rotate."""
    order = list(made.METHODS)
    cards = ("alpha-1", "beta-1", "gamma-1")
    before: list[EarlierTry] = []
    for place, name in enumerate(order):
        card = cards[place % 3]
        written = method(
            failure=f"counting stays low after attempt {place}, whatever the band",
            adapted=f"here the method is number {place} and is made smaller for this pool",
            evidence=[{"attempt": place, "benchmark": "counting", "score": 0.512}] if place else [],
            cards=[card],
            steps=steps(*STEPS[name], card=card),
        )
        policy = bench.policy(name, files(made.METHODS[name], written))
        assert gate(bench, name, policy, earlier=tuple(before)) == [], name
        before.append(bench.earlier(name, place + 1, policy=policy, cited=(card,)))
    for name in order:  # as they were, for the other tests
        bench.policy(name, files(made.METHODS[name], method(steps=steps(*STEPS[name]))))


def test_the_same_code_passes_again_after_a_refusal_for_its_method_file(bench: Bench) -> None:
    tried = bench.earlier("loss-band", None, problems=(Problem(code="card-unread", message="method.yaml:3: …"),))
    assert gate(bench, "loss-band", earlier=(tried,)) == []


def test_the_same_code_passes_again_after_the_harness_failed_on_it(bench: Bench) -> None:
    policy = {path.name: path for path in bench.made["loss-band"].iterdir() if path.suffix in (".py", ".yaml")}
    failed = bench.earlier("loss-band", 1, outcome="failed", feedback=None, policy=policy)
    assert gate(bench, "loss-band", earlier=(failed,)) == []


# -- an earlier policy again --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", made.COPIES)
def test_an_earlier_policy_in_other_clothes_is_refused(bench: Bench, name: str) -> None:
    problems = gate(bench, name, earlier=(bench.earlier("loss-band", 1),))
    assert "same-structure" in codes(problems)
    assert any("attempt 1" in problem.message and "policy.py:" in problem.message for problem in problems)


def test_quotas_that_were_refused_do_not_come_back_with_other_shares(bench: Bench) -> None:
    refused = bench.earlier("quota", None, problems=(Problem(code="only-metadata", message="…"),))
    assert {"same-structure", "only-metadata"} <= codes(gate(bench, "quota-again", earlier=(refused,)))


def test_a_step_that_changes_nothing_is_found_by_its_rows(bench: Bench) -> None:
    """Operations that have no effect make the code another; the rows say that nothing changed."""
    body = made.D2.replace(
        "    nearest, distance = neighbours(vectors(pool), 5)\n",
        """    points = vectors(pool)
    wave = np.tanh(np.cumsum(np.fft.fft(points, axis=1).real, axis=0)) * 0.0
    nearest, distance = neighbours(points + wave, 5)
""",
    )
    policy = bench.policy("padded", files(body, method(steps=steps(*STEPS["d2"]))))
    bench.run(["padded"])
    problems = gate(bench, "padded", policy, earlier=(bench.earlier("d2", 1),))
    assert "same-structure" not in codes(problems)  # static reading does not see that 0 * x is 0
    assert "same-selection" in codes(problems)


# -- metadata in disguise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", made.SHAM)
def test_quotas_thresholds_and_chance_are_refused_whatever_they_are_called(bench: Bench, name: str) -> None:
    problems = gate(bench, name)
    assert "only-metadata" in codes(problems)


@pytest.mark.parametrize("name", ["length-as-score", "fig-leaf"])
def test_a_length_threshold_is_found_by_its_effect(bench: Bench, name: str) -> None:
    problems = gate(bench, name)
    assert "predicted-by-metadata" in codes(problems)
    assert any("AUC" in problem.message for problem in problems)


def test_sources_that_are_picked_by_hand_are_named_with_their_line(bench: Bench) -> None:
    """Content decides inside; which sources take part was decided by hand."""
    problems = [problem for problem in gate(bench, "sources-left-out") if problem.code == "names-source"]
    assert len(problems) == 2
    line = made.whole(made.BAND_WITH_SOURCES).split("delta")[0].count("\n") + 1
    assert all(problem.message.startswith(f"policy.py:{line}: names the source") for problem in problems)


def test_sources_named_in_a_file_beside_the_code_are_named_with_their_line(bench: Bench) -> None:
    beside = {"shares.yaml": "note: the delta of a river is no source\nshares:\n  amber: 0.5\n  birch-wood: 0.3\n"}
    policy = bench.policy("beside", {**files(made.LOSS_BAND, method(steps=steps("band", "draw"))), **beside})
    bench.run(["beside"])
    found = [problem.message for problem in gate(bench, "beside", policy) if problem.code == "names-source"]
    assert sorted(message.partition(" ")[0] for message in found) == ["shares.yaml:1:", "shares.yaml:3:"]


# -- steps that are not done ------------------------------------------------------------------------------


def refused(bench: Bench, body: str, name: str = "tried", **changes: Any) -> Sequence[Problem]:
    policy = bench.policy(name, files(body, method(**changes)))
    bench.run([name])
    return gate(bench, name, policy)


def test_a_function_that_is_never_called_does_no_step(bench: Bench) -> None:
    problems = gate(
        bench,
        "dead-code",
        bench.policy("dead-code", files(made.COPIES["dead-code"], method(steps=steps("farthest_first", "draw")))),
    )
    assert {"step-unused", "step-not-run"} <= codes(problems)
    assert any("method.yaml:" in problem.message and "farthest_first" in problem.message for problem in problems)


def test_a_function_whose_result_is_thrown_away_does_no_step(bench: Bench) -> None:
    problems = refused(bench, made.RESULT_THROWN_AWAY, steps=steps("coverage", "draw"))
    assert codes(problems) == {"step-unused"}  # it was run, and nothing came of it


def test_a_function_that_computes_nothing_does_no_step(bench: Bench) -> None:
    body = made.LOSS_BAND + "\n\ndef warm_up(model):\n    return model\n"
    body = body.replace('loss = column(pool, "answer_loss")', 'loss = warm_up(column(pool, "answer_loss"))')
    assert codes(refused(bench, body, steps=steps("warm_up", "draw"))) == {"step-does-nothing"}


def test_a_function_that_runs_only_under_a_condition_that_never_holds_does_no_step(bench: Bench) -> None:
    body = made.LOSS_BAND.replace(
        "    return draw(",
        "    if len(inside) > 10**9:\n        inside = spread(inside, vectors(pool))\n    return draw(",
    ).replace(
        "def select(",
        "def spread(rows, points):\n    return rows[np.argsort(points[rows].sum(axis=1))]\n\n\ndef select(",
    )
    assert codes(refused(bench, body, steps=steps("spread", "draw"))) == {"step-not-run"}


@pytest.mark.parametrize(
    ("function", "said"),
    [("policy.py:nowhere", "no function nowhere"), ("ranks.py:band", "there is no ranks.py")],
    ids=["function", "file"],
)
def test_a_function_that_does_not_exist_is_named(bench: Bench, function: str, said: str) -> None:
    wrong = steps("band", "draw")
    wrong[0]["function"] = function
    problems = refused(bench, made.LOSS_BAND, steps=wrong)
    assert codes(problems) == {"step-function-missing"}
    assert said in problems[0].message


def test_one_function_does_not_stand_for_a_whole_procedure(bench: Bench) -> None:
    same = [{"card": "alpha-1", "step": f"s{n}", "function": "policy.py:select"} for n in (1, 2, 3)]
    assert codes(refused(bench, made.LOSS_BAND, steps=same)) == {"step-function-shared"}


def test_leaving_most_steps_out_is_no_instance_of_a_method(bench: Bench) -> None:
    left = steps("band", "draw")
    left[1] = {"card": "alpha-1", "step": "s2", "left_out": "it seemed unnecessary for this pool"}
    assert codes(refused(bench, made.LOSS_BAND, steps=left)) == {"step-too-few"}


def test_each_step_is_spoken_of_once_and_exists(bench: Bench) -> None:
    wrong = steps("band", "draw")
    wrong[2]["step"] = "s9"
    wrong.append(dict(wrong[0]))
    assert codes(refused(bench, made.LOSS_BAND, steps=wrong)) == {"step-unknown", "step-twice", "step-missing"}


# -- cards and scores ---------------------------------------------------------------------------------------


def test_cards_exist_and_were_read_in_this_run(bench: Bench) -> None:
    policy = bench.policy("cards", files(made.LOSS_BAND, method(cards=["alpha-1", "beta-9"])))
    bench.run(["cards"])
    problems = gate(bench, "cards", policy, cards_read={})
    assert codes(problems) == {"card-unknown", "card-unread"}
    assert all(problem.message.startswith("method.yaml:") for problem in problems)


def told(bench: Bench, evidence: list[dict[str, Any]]) -> Sequence[Problem]:
    policy = bench.policy(
        "told", files(made.METHODS["k-center"], method(evidence=evidence, steps=steps(*STEPS["k-center"])))
    )
    bench.run(["told"])
    before = tuple(
        bench.earlier(name, n, feedback=feedback(mean), cited=("beta-1",))
        for name, n, mean in (("d2", 1, 0.5), ("dsir", 2, 0.6123))
    )
    return gate(bench, "told", policy, earlier=before)


@pytest.mark.parametrize(
    "quoted", [("mean", 0.61), ("mean", 0.6123), ("counting", 0.512), ("signs", 0.71)], ids=lambda q: f"{q[0]}-{q[1]}"
)
def test_a_figure_as_it_was_told_passes(bench: Bench, quoted: tuple[str, float]) -> None:
    assert told(bench, [{"attempt": 2, "benchmark": quoted[0], "score": quoted[1]}]) == []


@pytest.mark.parametrize(
    ("quoted", "said"),
    [
        ([{"attempt": 2, "benchmark": "counting", "score": 0.53}], "was told counting 0.5123"),
        ([{"attempt": 2, "benchmark": "counting", "score": 0.5}], "was told counting 0.5123"),
        ([{"attempt": 1, "benchmark": "mean", "score": 0.5}], "no figure of attempt 2"),
        ([{"attempt": 2, "benchmark": "reading", "score": 0.5}], "no score 'reading'"),
        ([{"attempt": 7, "benchmark": "mean", "score": 0.61}], "attempt 7 has no score"),
        ([], "no figure of attempt 2"),
    ],
    ids=["wrong", "one-decimal", "not-the-last", "unknown-benchmark", "unknown-attempt", "none"],
)
def test_a_figure_that_was_not_told_is_refused(bench: Bench, quoted: list[dict[str, Any]], said: str) -> None:
    problems = told(bench, quoted)
    assert codes(problems) == {"method-evidence"}
    assert any(said in problem.message for problem in problems)


def test_scores_cannot_be_quoted_before_there_are_any(bench: Bench) -> None:
    quoted = [{"attempt": 1, "benchmark": "mean", "score": 0.61}]
    assert codes(refused(bench, made.LOSS_BAND, evidence=quoted)) == {"method-evidence"}


def test_one_family_three_times_in_a_row_is_refused(bench: Bench) -> None:
    written = method(
        evidence=[{"attempt": 2, "benchmark": "mean", "score": 0.6123}],
        cards=["alpha-2"],
        steps=steps(*STEPS["k-center"], card="alpha-2"),
    )
    policy = bench.policy("third", files(made.K_CENTER, written))
    bench.run(["third"])
    before = tuple(bench.earlier(name, n, cited=(f"alpha-{n}",)) for n, name in enumerate(("d2", "dsir"), start=1))
    assert codes(gate(bench, "third", policy, earlier=before)) == {"same-family"}
    other = (before[0], bench.earlier("dsir", 2, cited=("gamma-1",)))
    assert gate(bench, "third", policy, earlier=other) == []


def test_the_words_of_an_earlier_attempt_are_not_taken_over(bench: Bench) -> None:
    written = method(evidence=[{"attempt": 1, "benchmark": "mean", "score": 0.6123}], steps=steps(*STEPS["k-center"]))
    policy = bench.policy("again", files(made.K_CENTER, written))
    bench.run(["again"])
    earlier = {path.name: path for path in bench.made["d2"].iterdir() if path.suffix in (".py", ".yaml")}
    problems = gate(bench, "again", policy, earlier=(bench.earlier("d2", 1, policy=earlier, cited=("beta-1",)),))
    assert codes(problems) == {"method-copied"}


def test_everything_that_is_wrong_is_told_at_once(bench: Bench) -> None:
    wrong = steps("nowhere", "draw")
    written = method(
        cards=["alpha-1", "beta-9"], steps=wrong, evidence=[{"attempt": 4, "benchmark": "mean", "score": 0.5}]
    )
    policy = bench.policy("all-at-once", {**files(made.QUOTA, written), "rows.json": str(list(range(0, ROWS, 9)))})
    bench.run(["all-at-once"])
    expected = {"card-unknown", "step-function-missing", "method-evidence", "only-metadata", "policy-names-rows"}
    assert expected <= codes(gate(bench, "all-at-once", policy))


def test_code_that_cannot_be_read_is_refused_where_it_is_run(bench: Bench) -> None:
    body = made.LOSS_BAND.replace("    return draw(", '    exec("inside = inside[::-1]")\n    return draw(')
    problems = refused(bench, body, steps=steps("band", "draw"))
    assert codes(problems) == {"policy-dynamic"}
    assert problems[0].message.startswith("policy.py:")


def test_what_cannot_be_read_of_the_method_file_hides_nothing_of_the_rest(bench: Bench) -> None:
    written = method(adapted="short", cards=["beta-9"], steps=steps("nowhere", "draw"))
    policy = bench.policy("part-of-it", files(made.LOSS_BAND, written))
    bench.run(["part-of-it"])
    told = codes(gate(bench, "part-of-it", policy))
    assert {"method-invalid", "card-unknown", "step-function-missing", "step-unknown"} <= told
    written = method(cards="alpha-1", steps=steps("nowhere", "draw"))
    policy = bench.policy("cards-no-list", files(made.LOSS_BAND, written))
    told = codes(gate(bench, "cards-no-list", policy))
    assert told == {"method-invalid", "step-function-missing"}, "and nothing is said of stand-ins"


def test_rows_that_are_written_where_nobody_looks_are_refused(bench: Bench) -> None:
    """With no writing seen, all code would count as live, and anything as decided by content."""
    policy = bench.policy("printed", {**files("", method()), "policy.py": _printing(made.whole(made.QUOTA))})
    bench.run(["printed"])
    assert "policy-writes-unseen" in codes(gate(bench, "printed", policy))


def _printing(code: str) -> str:
    written = 'Path(args.out).write_text("".join(f"{int(row)}\\n" for row in sorted(chosen)))'
    assert written in code
    printed = (
        "import sys; sys.stdout = open(args.out, 'w'); [print(int(row)) for row in sorted(chosen)];"
        " sys.stdout = sys.__stdout__"
    )
    return code.replace(written, printed)
