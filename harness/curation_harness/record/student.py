"""Quantiles of Student's t and of chi-square, for intervals from few seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist


def t_quantile(p: float, freedom: float) -> float:
    """The p-quantile of Student's t; ``freedom`` need not be whole, and may be infinite.

    By bisection of the distribution function, to about 1e-10.
    """
    if freedom == math.inf or freedom > 1e6:
        return NormalDist().inv_cdf(p)
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    low, high = 0.0, 1.0
    while _t_distribution(high, freedom) < p:
        low, high = high, high * 2
    return _bisect(lambda x: _t_distribution(x, freedom), p, low, high)


def chi2_quantile(p: float, freedom: int) -> float:
    """The p-quantile of chi-square, by bisection."""
    high = float(freedom)
    while _gamma_p(freedom / 2, high / 2) < p:
        high *= 2
    return _bisect(lambda x: _gamma_p(freedom / 2, x / 2), p, 0.0, high)


def _bisect(distribution: Callable[[float], float], p: float, low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if high - low <= 1e-12 * max(1.0, middle):
            break
        if distribution(middle) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_distribution(t: float, freedom: float) -> float:
    """P(T ≤ t) for t ≥ 0: 1 − I_{ν/(ν+t²)}(ν/2, 1/2) / 2 (DLMF 8.17; Abramowitz & Stegun 26.7.1)."""
    return 1 - _beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2


def _beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # convergents A_n/B_n, rescaled at every step so that they stay finite
    above, below, above_old, below_old = 1.0, 1.0, 1.0, 0.0
    value = 1.0
    for n in range(1, 1000):
        m = n // 2
        if n % 2 == 0:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        above, above_old = above + d * above_old, above
        below, below_old = below + d * below_old, below
        if below == 0:
            continue
        above, above_old, below_old = above / below, above_old / below, below_old / below
        below = 1.0
        if abs(above - value) < 1e-15 * abs(above):
            break
        value = above
    return math.exp(front) / a / above


def _gamma_p(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x), by its series (DLMF 8.11.4)."""
    if x <= 0:
        return 0.0
    term = total = 1 / a
    n = a
    while abs(term) > 1e-16 * abs(total):
        n += 1
        term *= x / n
        total += term
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))
