"""What model traffic costs: the table of the package ``genai-prices``, and prices the user gives over it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import genai_prices

from curation_harness.errors import OptionInvalid
from curation_harness.record.models import Price
from curation_sandbox.gateway.exchange import Usage

_TOKENS: Final = 1_000_000

_FORM: Final = re.compile(r"(?P<model>[^=\s]+)=(?P<input>[\d.]+)/(?P<output>[\d.]+)(?:/(?P<cached>[\d.]+))?")

_HINT: Final = "Dollars per million tokens: --price NAME=1/3, or with the price of cached ones --price NAME=1/3/0.2"


def parse(text: str) -> Price:
    """``MODEL=INPUT/OUTPUT[/CACHED]``, in dollars per million tokens.

    Raises:
        OptionInvalid
    """
    match = _FORM.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        given = float(match["input"])
        cached = given if match["cached"] is None else float(match["cached"])
        return Price(model=match["model"], input=given, output=float(match["output"]), cached=cached)
    except ValueError:
        raise OptionInvalid(f"--price {text!r} is no price", hint=_HINT) from None


class PriceTable:
    """Prices of one run's models."""

    def __init__(self, provider: str, given: tuple[Price, ...]) -> None:
        """Args:
        provider: as ``genai-prices`` names it; of one it does not know, only given prices count.
        given: the user's own, which come first.
        """
        self._provider = provider
        self._given = {price.model: price for price in given}

    def dollars(self, model: str, usage: Usage, at: float) -> float | None:
        """Price of an exchange at Unix time ``at``; None: no price is known for the model."""
        own = self._given.get(model)
        if own is not None:
            fresh = max(0, usage.input - usage.cache_read)
            return (fresh * own.input + usage.cache_read * own.cached + usage.output * own.output) / _TOKENS
        counted = genai_prices.Usage(
            input_tokens=usage.input,
            cache_read_tokens=min(usage.cache_read, usage.input),
            cache_write_tokens=min(usage.cache_write, max(0, usage.input - usage.cache_read)),
            output_tokens=usage.output,
        )
        when = datetime.fromtimestamp(at, UTC)
        try:
            priced = genai_prices.calc_price(
                counted, model_ref=model, provider_id=self._provider, genai_request_timestamp=when
            )
        except (LookupError, ValueError):
            return None
        return float(priced.total_price)

    def knows(self, model: str) -> bool:
        return self.dollars(model, Usage(input=1, output=1), datetime.now(UTC).timestamp()) is not None
