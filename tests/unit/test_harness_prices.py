"""Money: what a token costs, and whose price counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from curation_harness import prices
from curation_harness.errors import OptionInvalid
from curation_harness.prices import PriceTable
from curation_harness.record.models import Price
from curation_sandbox.gateway.exchange import Usage

NOW = datetime(2026, 1, 15, tzinfo=UTC).timestamp()


def test_a_known_models_price_counts_cached_tokens_at_their_own():
    table = PriceTable("anthropic", ())
    fresh = table.dollars("claude-sonnet-4-5", Usage(input=1000), NOW)
    cached = table.dollars("claude-sonnet-4-5", Usage(input=1000, cache_read=1000), NOW)
    reply = table.dollars("claude-sonnet-4-5", Usage(output=1000), NOW)
    assert fresh == pytest.approx(0.003)  # 3 $ a million, the provider's list price
    assert cached == pytest.approx(0.0003)
    assert reply == pytest.approx(0.015)


def test_a_price_of_the_users_own_comes_first():
    table = PriceTable("anthropic", (Price(model="claude-sonnet-4-5", input=1, output=2, cached=0.5),))
    usage = Usage(input=3_000_000, cache_read=1_000_000, output=1_000_000)
    assert table.dollars("claude-sonnet-4-5", usage, NOW) == pytest.approx(2 * 1 + 1 * 0.5 + 1 * 2)


def test_a_model_without_a_price_costs_none_not_zero():
    table = PriceTable("openai-compatible", ())
    assert table.dollars("qwen-local", Usage(input=5), NOW) is None
    assert not table.knows("qwen-local")


def test_figures_that_do_not_fit_together_do_no_harm():
    table = PriceTable("anthropic", ())
    assert (
        table.dollars("claude-sonnet-4-5", Usage(input=10, cache_read=50, cache_write=50, output=1), NOW) is not None
    )
    own = PriceTable("x", (Price(model="m", input=1, output=1, cached=1),))
    assert (own.dollars("m", Usage(input=1, cache_read=9), NOW) or 0) >= 0


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("m=1/3", Price(model="m", input=1, output=3, cached=1)),
        ("a/b-c=0.5/2/0.05", Price(model="a/b-c", input=0.5, output=2, cached=0.05)),
    ],
)
def test_prices_are_read(text, price):
    assert prices.parse(text) == price


@pytest.mark.parametrize("text", ["", "m", "m=1", "m=-1/2", "m=1/2/3/4", "=1/2", "m=a/b", "m=1.2.3/4", "m=nan/1"])
def test_what_is_no_price_is_refused_with_the_form(text):
    with pytest.raises(OptionInvalid, match="is no price") as caught:
        prices.parse(text)
    assert "--price NAME=1/3" in str(caught.value.hint)
