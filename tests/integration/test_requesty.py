"""Reading what Requesty sends: error bodies and price rows, exact and never fatal."""

import pytest

from tiered_cache.core.accounting import Price
from tiered_cache.integrations.origin import HttpOrigin
from tiered_cache.integrations.requesty import EU_URL, GLOBAL_URL, RequestyError, read_error, read_prices


def test_the_two_regions_are_two_origins():
    assert HttpOrigin(GLOBAL_URL).origin_id != HttpOrigin(EU_URL).origin_id


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"origin":"router","message":"no balance"}}', RequestyError("router", "no balance")),
        (b'{"error":{"origin":"provider","message":"x","code":7},"id":1}', RequestyError("provider", "x")),
        (b'{"error":{"origin":"moon","message":5}}', RequestyError(None, "")),
        (b'{"error":{}}', RequestyError()),
        (b'{"error":"text"}', None),
        (b'{"choices":[]}', None),
        (b"", None),
        (b"<html>", None),
        (b'{"error":{"message":"\xff"}}', RequestyError()),
        (b"[" * 100_000, None),
    ],
)
def test_an_error_body_is_read_or_is_none(body, error):
    assert read_error(body) == error


def test_prices_are_exact_in_pico_dollars():
    body = b"""{"object":"list","data":[
      {"id":"openai/gpt-4o-mini","input_price":1.5e-07,"cached_price":0.000000075,"output_price":0.0000006,"x":1},
      {"id":"a/free","input_price":0,"output_price":0},
      {"id":"a/no-cached","input_price":0.1,"cached_price":null,"output_price":"0.3"},
      {"id":"a/text","input_price":"cheap","output_price":1},
      {"id":"a/no-output","input_price":1},
      {"id":"a/negative","input_price":-1,"output_price":1},
      {"id":7,"input_price":1,"output_price":1},
      "row"
    ]}"""
    assert read_prices(body) == {
        "openai/gpt-4o-mini": Price(input_picousd=150_000, cached_picousd=75_000, output_picousd=600_000),
        "a/free": Price(input_picousd=0, cached_picousd=0, output_picousd=0),
        "a/no-cached": Price(input_picousd=10**11, cached_picousd=10**11, output_picousd=3 * 10**11),
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":{}}', b"\xff", b"{}"])
def test_what_is_no_list_of_models_is_a_value_error(body):
    with pytest.raises(ValueError):
        read_prices(body)
