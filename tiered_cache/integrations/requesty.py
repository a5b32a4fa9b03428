"""Requesty as an origin: where it is, how it words errors, what its models cost."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from tiered_cache.core.accounting import Price, picousd

GLOBAL_URL = "https://router.requesty.ai/v1"
EU_URL = "https://router.eu.requesty.ai/v1"
"""The API bases, as SDKs take them; answers of the one are never served for the other."""


class RequestyError(Struct, frozen=True):
    """What the `error` object of a Requesty answer says.

    Attributes:
        origin: who refused, the router or the provider behind it; None when the answer does not say.
        message: for people; may repeat parts of the prompt, so it belongs in no log.
    """

    origin: Literal["router", "provider"] | None = None
    message: str = ""


class _ErrorBody(Struct):
    error: dict[str, msgspec.Raw]


class _Model(Struct):
    id: str
    input_price: Decimal | None = None
    cached_price: Decimal | None = None
    output_price: Decimal | None = None


class _Models(Struct):
    data: list[msgspec.Raw]


def read_error(body: bytes) -> RequestyError | None:
    """The error that an answer of any status carries; None when it carries none that can be read."""
    try:
        told = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    origin = _text(told.get("origin"))
    return RequestyError(
        origin="router" if origin == "router" else "provider" if origin == "provider" else None,
        message=_text(told.get("message")),
    )


def read_prices(models: bytes) -> Mapping[str, Price]:
    """Prices per token by model id, from the body of `GET /v1/models`.

    A model without both an input and an output price is left out: unpriced is not free. Without a cached
    price, cached input costs what input costs.

    Raises:
        ValueError: the body is not a list of models.
    """
    try:
        rows = msgspec.json.decode(models, type=_Models).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not a list of models as GET /v1/models gives it") from error
    priced = (_priced(row) for row in rows)
    return {name: price for name, price in priced if price is not None}


def _priced(row: msgspec.Raw) -> tuple[str, Price | None]:
    try:
        model = msgspec.json.decode(row, type=_Model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", None
    into, out = picousd(model.input_price), picousd(model.output_price)
    if into is None or out is None:
        return model.id, None
    cached = picousd(model.cached_price)
    return model.id, Price(
        input_picousd=into, cached_picousd=into if cached is None else cached, output_picousd=out
    )


def _text(raw: msgspec.Raw | None) -> str:
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
