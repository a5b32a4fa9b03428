"""What belongs to one connection, one caller, one exchange or one rendering is not stored (RFC 9111 §3.1)."""

import pytest

from tiered_cache.core.answers import stored_headers


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"set-cookie",
        b"date",
        b"age",
        b"etag",
        b"cache-control",
        b"cdn-cache-control",
        b"cache-status",
        b"vary",
        b"x-request-id",
        b"request-id",
        b"cf-ray",
        b"server-timing",
        b"openai-processing-ms",
        b"x-ratelimit-remaining-tokens",
        b"ratelimit-policy",
        b"anthropic-ratelimit-requests-limit",
        b"retry-after",
        b"access-control-allow-origin",
        b"x-tiered-cache-saved-usd",
    ],
)
def test_a_line_of_one_exchange_is_not_stored(name: bytes) -> None:
    assert stored_headers(((name, b"x"),)) == ()


@pytest.mark.parametrize("value", [b"a\x01b", b"\x1b[0m", b"a\x7f", b"a\nx-evil: 1", b"\x00"])
def test_a_value_with_a_control_byte_is_not_stored(value: bytes) -> None:
    """RFC 9110 §5.5: such a value is invalid; sent on, it would cost the caller the answer."""
    assert stored_headers(((b"x-note", value), (b"x-tab", b"a\tb\xe9"))) == ((b"x-tab", b"a\tb\xe9"),)


@pytest.mark.parametrize("name", [b"", b"x note", b"x\x01", b"x:y", b"x\xe9", b"x-note\n"])
def test_a_name_that_is_no_token_is_not_stored(name: bytes) -> None:
    """RFC 9110 §5.1."""
    assert stored_headers(((name, b"1"),)) == ()


def test_all_other_lines_are_stored_in_order_also_unknown_and_repeated_ones() -> None:
    lines = (
        (b"openai-version", b"2020-10-01"),
        (b"x-new", b"1"),
        (b"x-new", b"2"),
        (b"content-language", b"en"),
        (b"x-rate", b"1"),
        (b"empty", b""),
    )
    assert stored_headers(lines) == lines


def test_lines_that_connection_names_are_not_stored() -> None:
    lines = (
        (b"x-hop", b"1"),
        (b"connection", b"close, X-Hop"),
        (b"connection", b" other ,"),
        (b"other", b"1"),
    )
    assert stored_headers((*lines, (b"x-end", b"1"))) == ((b"x-end", b"1"),)
