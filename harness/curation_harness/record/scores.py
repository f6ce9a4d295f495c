"""From item results to scores with standard errors. Pure arithmetic; everything is re-derivable from the record."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from curation_harness.record.measures import Scores, SealedScore, Unscored
from curation_harness.record.tallies import Tallies, faults, tally
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult
from curation_sandbox.protocol import Score


def read_items(path: Path, benchmarks: Sequence[str]) -> list[ItemResult]:
    """Read and check an evaluator's item file.

    Raises:
        WorkerReplyInvalid: a line is no item result, an item comes twice, or a benchmark is missing: a missing
            benchmark is a failure of ours and never a zero.
    """
    items: list[ItemResult] = []
    seen: set[tuple[str, str]] = set()
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    item = ItemResult.model_validate_json(line)
                except ValueError as error:
                    raise WorkerReplyInvalid(f"{path.name}, line {number}: {error}") from None
                if (item.benchmark, item.item) in seen:
                    what = f"item {item.item} of {item.benchmark} comes twice"
                    raise WorkerReplyInvalid(f"{path.name}, line {number}: {what}")
                seen.add((item.benchmark, item.item))
                items.append(item)
    except OSError as error:
        raise WorkerReplyInvalid(f"{path}: the evaluator wrote no items ({error.strerror})") from None
    found = {item.benchmark for item in items}
    if found != set(benchmarks):
        raise WorkerReplyInvalid(
            f"{path.name}: benchmarks {sorted(found)} were scored, {sorted(benchmarks)} expected"
        )
    return items


def aggregate(items: Sequence[ItemResult], graded: Collection[str] = (), worst: Collection[str] = ()) -> Scores:
    """Mean over benchmarks of each benchmark's score, with cluster-robust standard errors.

    The standard error of a mean over items in G groups is √(G/(G−1) · Σ_g (Σ_{i∈g} e_i)²) / n with e_i the
    item's deviation (Liang & Zeger 1986; for evaluations: Miller 2024, arXiv 2411.00640, §2.2); for a ratio of sums
    e_i is the linearised one (Cochran 1977, Sampling Techniques, §6.5). For the mean over B benchmarks each
    counts 1/B, and a group may span benchmarks.

    Args:
        graded: benchmarks whose scores are a judge's opinion.
        worst: benchmarks whose score is the lowest of their metrics; its error is that metric's.

    Raises:
        WorkerReplyInvalid: a benchmark has nothing that could be scored.
    """
    sums = tally(items, worst)
    missing = faults(items)
    sizes = Counter(item.benchmark for item in items)
    scores: dict[str, Score] = {}
    for name in sums.cells:
        mean = sums.score(name)
        if mean is None:
            raise WorkerReplyInvalid(
                f"no item of {name} could be scored",
                hint="Is a judge set up, and does it answer? The items' reasons are in the item file.",
            )
        members = sizes[name] - missing.get(name, Counter())["judge"]
        scores[name] = Score(mean=mean, stderr=_clustered(sums.influence(name).values()), n=members)
    whole = _mean(sums, scores)
    bare = [name for name in scores if name not in graded]
    return Scores(
        mean=whole.mean,
        stderr=whole.stderr,
        n=whole.n,
        by_benchmark=scores,
        unscored={name: Unscored(**counts) for name, counts in sorted(missing.items())},
        without_judge=_mean(sums, {name: scores[name] for name in bare}) if 0 < len(bare) < len(scores) else None,
    )


def _mean(sums: Tallies, scores: Mapping[str, Score]) -> Score:
    """Unweighted mean over benchmarks."""
    moved: dict[str, float] = defaultdict(float)
    for name in scores:
        for group, influence in sums.influence(name).items():
            moved[group] += influence / len(scores)
    return Score(
        mean=math.fsum(score.mean for score in scores.values()) / len(scores),
        stderr=_clustered(moved.values()),
        n=sum(score.n for score in scores.values()),
    )


def _clustered(sums: Iterable[float]) -> float:
    values = list(sums)
    if len(values) < 2:
        return 0.0
    return math.sqrt(len(values) / (len(values) - 1) * math.fsum(value**2 for value in values))


def over_seeds(scores: Sequence[Scores]) -> SealedScore:
    """Mean over training seeds; the error holds item variance and training variance.

    The items are the same for every seed, so their variance does not shrink with seeds: it is averaged, and
    the variance of the seed mean, sd²/K, is added.
    """
    means = [score.mean for score in scores]
    sd = statistics.stdev(means) if len(means) > 1 else None
    training = (sd or 0.0) ** 2 / len(means)
    items = statistics.fmean(score.stderr**2 for score in scores)
    by_benchmark = {
        name: Score(
            mean=statistics.fmean(score.by_benchmark[name].mean for score in scores),
            stderr=math.sqrt(
                statistics.fmean(score.by_benchmark[name].stderr ** 2 for score in scores)
                + _variance_of_mean([score.by_benchmark[name].mean for score in scores])
            ),
            n=scores[0].by_benchmark[name].n,
        )
        for name in scores[0].by_benchmark
    }
    return SealedScore(
        mean=statistics.fmean(means),
        stderr=math.sqrt(items + training),
        n=scores[0].n,
        seeds=len(means),
        sd_seeds=sd,
        by_benchmark=by_benchmark,
        without_judge=_mean_without_judge(scores),
        unscored_answer=max(sum(found.answer for found in score.unscored.values()) for score in scores),
        unscored_judge=max(sum(found.judge for found in score.unscored.values()) for score in scores),
    )


def _mean_without_judge(scores: Sequence[Scores]) -> float | None:
    known = [score.without_judge.mean for score in scores if score.without_judge is not None]
    return statistics.fmean(known) if known else None


def _variance_of_mean(values: Sequence[float]) -> float:
    return statistics.variance(values) / len(values) if len(values) > 1 else 0.0


def noise_floor(means: Sequence[float]) -> float | None:
    """1.96·√2·σ, σ the standard deviation of one submission's score over training seeds.

    The 95 % bound on the difference of two scores of the same data. None from fewer than three seeds.
    """
    if len(means) < 3:
        return None
    return 1.96 * math.sqrt(2) * statistics.stdev(means)


def expected_maximum(draws: Sequence[float], k: int) -> float:
    """Expected maximum of k further draws of the kind of ``draws``.

    For k up to the m draws there are, the mean of the maxima of all subsets of size k,
    Σ_i x_(i)·C(i−1, k−1)/C(m, k) over the ordered sample: unbiased, where drawing with replacement (Dodge et al.
    2019, arXiv 1909.03004) comes out too low (Tang et al. 2020, arXiv 2004.13705, §3). Beyond, mean + sd·E[max of k
    standard normals], and never below the best there is.
    """
    ordered = sorted(draws)
    m = len(ordered)
    if k <= m:
        whole = math.comb(m, k)
        return math.fsum(x * math.comb(i - 1, k - 1) / whole for i, x in enumerate(ordered, start=1))
    sd = statistics.stdev(ordered) if m > 1 else 0.0
    return max(ordered[-1], statistics.fmean(ordered) + sd * normal_maximum(k))


def normal_maximum(k: int) -> float:
    """Expected maximum of k standard normals, ∫ x·k·φ(x)·Φ(x)^(k−1) dx, by the trapezoidal rule to about 1e-8."""
    normal, step = statistics.NormalDist(), 0.01
    points = (place * step for place in range(-900, 901))
    return math.fsum(x * k * normal.pdf(x) * normal.cdf(x) ** (k - 1) * step for x in points)
