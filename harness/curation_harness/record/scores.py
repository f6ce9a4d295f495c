"""From item results to scores with standard errors. Pure arithmetic; everything is re-derivable from the record."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from curation_harness.record.models import Interval, Recovered, Scores, SealedScore
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


def aggregate(items: Sequence[ItemResult]) -> Scores:
    """Mean over benchmarks of each benchmark's mean, with cluster-robust standard errors.

    The standard error of a mean over items in G groups is √(G/(G−1) · Σ_g (Σ_{i∈g} e_i)²) / n with e_i the
    item's deviation (Liang & Zeger 1986; for evaluations: Miller 2024, arXiv 2411.00640, §2.2). For the mean
    over benchmarks each item counts 1/(B·n_b), and a group may span benchmarks.
    """
    by_benchmark: dict[str, list[ItemResult]] = defaultdict(list)
    for item in items:
        by_benchmark[item.benchmark].append(item)
    scores: dict[str, Score] = {}
    influence: dict[str, float] = defaultdict(float)
    for name in sorted(by_benchmark):
        members = by_benchmark[name]
        mean = math.fsum(item.score for item in members) / len(members)
        groups: dict[str, float] = defaultdict(float)
        for item in members:
            groups[item.group] += (item.score - mean) / len(members)
            influence[item.group] += (item.score - mean) / len(members) / len(by_benchmark)
        scores[name] = Score(mean=mean, stderr=_clustered(groups.values()), n=len(members))
    return Scores(
        mean=math.fsum(score.mean for score in scores.values()) / len(scores),
        stderr=_clustered(influence.values()),
        n=len(items),
        by_benchmark=scores,
    )


def _clustered(sums: Iterable[float]) -> float:
    values = list(sums)
    if len(values) < 2:
        return 0.0
    return math.sqrt(len(values) / (len(values) - 1) * math.fsum(value**2 for value in values))


def pool_splits(public: Scores, sealed: Scores) -> Scores:
    """Both halves as one set of items. The halves share no group, so their errors are independent.

    A group may span benchmarks, so the overall error comes from the halves' overall errors and not from the
    benchmarks': exact where the halves are of the same proportion in every benchmark, as they are made.
    """
    merged: dict[str, Score] = {}
    for name, one in public.by_benchmark.items():
        other = sealed.by_benchmark[name]
        n = one.n + other.n
        merged[name] = Score(
            mean=(one.mean * one.n + other.mean * other.n) / n,
            stderr=math.hypot(one.stderr * one.n, other.stderr * other.n) / n,
            n=n,
        )
    weight = statistics.fmean(one.n / merged[name].n for name, one in public.by_benchmark.items())
    return Scores(
        mean=math.fsum(score.mean for score in merged.values()) / len(merged),
        stderr=math.hypot(weight * public.stderr, (1 - weight) * sealed.stderr),
        n=public.n + sealed.n,
        by_benchmark=merged,
    )


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
    )


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
    """Expected maximum of k draws with replacement from the empirical distribution of ``draws``.

    E[max] = Σ_i x_(i) · ((i/m)^k − ((i−1)/m)^k) over the ordered sample (Dodge et al. 2019, arXiv 1909.03004,
    eq. 7).
    """
    ordered = sorted(draws)
    m = len(ordered)
    return math.fsum(x * ((i / m) ** k - ((i - 1) / m) ** k) for i, x in enumerate(ordered, start=1))


def recovered_share(score: SealedScore, base: SealedScore, full: SealedScore) -> Recovered | None:
    """Share of the full-data gain recovered, with Fieller's 95 % interval for a ratio of means.

    With a = score−base, b = full−base and g = (1.96·se_b / b)², the interval is
    (r − g·ρ ± 1.96/b · √(se_a² − 2·r·c + r²·se_b² − g·(se_a² − c²/se_b²))) / (1 − g), where r = a/b, c = cov(a, b)
    = var(base) and ρ = c/se_b² (Fieller 1954, J. R. Stat. Soc. B 16:175). None when g ≥ 1 or b ≤ 0: the
    denominator cannot be told from zero, and a ratio would mean nothing.
    """
    a, b = score.mean - base.mean, full.mean - base.mean
    common = base.stderr**2
    var_a, var_b = score.stderr**2 + common, full.stderr**2 + common
    if b <= 0:
        return None
    g = 1.96**2 * var_b / b**2
    if g >= 1:
        return None
    r = a / b
    rho = common / var_b if var_b else 0.0
    inner = var_a - 2 * r * common + r**2 * var_b
    inner -= g * (var_a - (common**2 / var_b if var_b else 0.0))
    half = 1.96 / b * math.sqrt(max(0.0, inner))
    middle = r - g * rho
    return Recovered(share=r, interval=Interval(low=(middle - half) / (1 - g), high=(middle + half) / (1 - g)))
