"""The models that the simulated Requesty sells, and what a token of each costs."""

from msgspec import Struct

from tiered_cache.core.accounting import usd_text

PICOUSD_PER_TOKEN = 1_000_000
"""Pico-dollars per token for each dollar per million tokens."""


class PriceRow(Struct, frozen=True, kw_only=True):
    """One model's prices in pico-dollars per token, as a row of `/v1/models` gives them in dollars.

    Attributes:
        cached_picousd: an input token read from the provider's prompt cache.
        caching_picousd: an input token written to it.
    """

    model: str
    input_picousd: int
    cached_picousd: int
    caching_picousd: int
    output_picousd: int
    context_window: int = 128_000
    max_output_tokens: int = 16_384

    def cost_picousd(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
        """What a call costs, exactly, in 1e-12 USD."""
        paid_in = (prompt_tokens - cached_tokens) * self.input_picousd + cached_tokens * self.cached_picousd
        return paid_in + completion_tokens * self.output_picousd

    def listing(self) -> dict[str, object]:
        """The row as `GET /v1/models` writes it."""
        return {
            "id": self.model,
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": self.model.partition("/")[0],
            "input_price": float(usd_text(self.input_picousd)),
            "cached_price": float(usd_text(self.cached_picousd)),
            "caching_price": float(usd_text(self.caching_picousd)),
            "output_price": float(usd_text(self.output_picousd)),
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "supports_caching": True,
            "supports_vision": True,
        }


def _row(model: str, usd_in: float, usd_cached: float, usd_out: float) -> PriceRow:
    """Prices in dollars per million tokens, of the order that such models cost."""
    return PriceRow(
        model=model,
        input_picousd=round(usd_in * PICOUSD_PER_TOKEN),
        cached_picousd=round(usd_cached * PICOUSD_PER_TOKEN),
        caching_picousd=round(usd_in * PICOUSD_PER_TOKEN),
        output_picousd=round(usd_out * PICOUSD_PER_TOKEN),
    )


DEFAULT_MODEL = "openai/gpt-4o-mini"
"""What Requesty takes when a call names no model."""

PRICES: dict[str, PriceRow] = {
    row.model: row
    for row in (
        _row(DEFAULT_MODEL, 0.15, 0.075, 0.60),
        _row("openai/gpt-4o-2024-11-20", 2.50, 1.25, 10.0),
        _row("anthropic/claude-sonnet-4-5", 3.0, 0.30, 15.0),
        _row("google/gemini-2.5-flash", 0.30, 0.075, 2.50),
        _row("mistral/mistral-small-latest", 0.10, 0.10, 0.30),
    )
}


def price_of(model: str) -> PriceRow | None:
    """The row that a call with this model is billed by; a region suffix (`@eu-central-1`) changes nothing."""
    return PRICES.get(model.partition("@")[0])
