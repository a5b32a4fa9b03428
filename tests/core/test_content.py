"""When that ends to which an answer points: `expires_at`, signed URLs as their signers write them, result URLs."""

import json

import pytest

from tiered_cache.core.content import Expiry, find_expiry

BEGIN = 1704067200  # 2024-01-01T00:00:00Z
E = "https://e.com/a.png"


def found(name, value) -> Expiry:
    return find_expiry([(name, json.dumps(value).encode())])


SIGNED = [
    (f"{E}?X-Amz-Algorithm=A&X-Amz-Date=20240101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=x", BEGIN + 3600),
    (f"{E}?x-amz-expires=60&x-amz-date=20240101T000000Z", BEGIN + 60),
    (f"{E}?X-Goog-Date=20240101T000000Z&X-Goog-Expires=900&X-Goog-Signature=x", BEGIN + 900),
    (f"{E}?X-Tos-Date=20240101T000000Z&X-Tos-Expires=900&X-Tos-Signature=x", BEGIN + 900),
    (f"{E}?AWSAccessKeyId=A&Expires={BEGIN}&Signature=x", BEGIN),
    (f"{E}?Expires={BEGIN}&Signature=x&Key-Pair-Id=y", BEGIN),
    (f"{E}?x-expires={BEGIN}&x-signature=y", BEGIN),
    (f"{E}?expires={BEGIN}000&token=y", BEGIN),
    (f"{E}?st=2023-01-01T00:00:00Z&se=2024-01-01T00:00:00Z&sp=r&sig=x", BEGIN),
    (f"{E}?se=2024-01-01T00%3A00%3A00Z&sig=x", BEGIN),
    (f"{E}?se=2024-01-01&sig=x", BEGIN),
    (f"{E}?se=2024-01-01T00:00Z&sig=x", BEGIN),
    (f"{E}?se=2024-01-01T00:00:00.1234567Z&sig=x", BEGIN),
    (f"{E}?se=2024-01-01T01:00:00%2B01:00&sig=x", BEGIN),
    (f"{E}?se=2024-01-01T01:00:00+01:00&sig=x", BEGIN),
    (f"{E}?se=2023-12-31T23:30:00-0030&sig=x", BEGIN),
    (f"{E}?q-sign-algorithm=sha1&q-sign-time={BEGIN - 60};{BEGIN}&q-signature=x", BEGIN),
    (f"{E}?Expires={BEGIN}&Signature=x#page?Expires=1", BEGIN),
    (f"{E}?Expires={BEGIN + 5}&X-Amz-Date=20240101T000000Z&X-Amz-Expires=2", BEGIN + 2),
]


@pytest.mark.parametrize(("url", "ends"), SIGNED)
def test_a_signed_url_ends_when_it_says_wherever_it_stands(url, ends):
    assert found("url", url) == Expiry(ends)
    assert found("images", [{"image_url": {"url": url}}]) == Expiry(ends)
    assert found("content", f"Here: ![it]({url}), or <{url}>.") == Expiry(ends)
    assert found("annotations", [{"url_citation": {"url": url}}]) == Expiry(ends)
    assert found("content", f"<img src='{url.replace('&', '&amp;')}'>") == Expiry(ends)
    escaped = json.dumps({"url": url}).replace("&", "\\u0026").replace("/", "\\/")
    assert found("arguments", escaped) == Expiry(ends)
    assert find_expiry([("url", json.dumps(url).replace("/", "\\/").encode())]) == Expiry(ends)
    assert find_expiry([("url", json.dumps(url).replace(":", "\\u003a").encode())]) == Expiry(ends)


@pytest.mark.parametrize(
    "query",
    [
        "sig=x", "Policy=x&Signature=x", "X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Date=soon", "se=soon&sig=x",
        "X-Amz-Expires=-1&X-Amz-Date=20240101T000000Z", "X-Amz-Expires=99999999999&X-Amz-Date=20240101T000000Z",
        "Expires=60&Signature=x", "Expires=&Signature=x", "se=2024-13-01&sig=x", "se=0000-01-01&sig=x",
    ],
)  # fmt: skip
def test_a_signed_url_that_cannot_be_read_ends_at_an_unknown_instant(query):
    assert found("url", f"{E}?{query}") == Expiry(unknown=True)
    assert found("content", f"see {E}?{query}") == Expiry(unknown=True)


@pytest.mark.parametrize(
    "url", [E, "HTTP://e.com", f" {E}\n", f"{E}?page=2&expires=never", "https://e.com/(a)"]
)
def test_a_url_is_a_result_unless_the_model_wrote_it_or_a_source_has_it(url):
    for name in ("url", "images", "b64", "origin_url"):
        assert found(name, url) == Expiry(unknown=True)
        assert found(name, [url]) == Expiry(unknown=True)
        assert found(name, {"a": [{"b": url}]}) == Expiry(unknown=True)
    for name in ("content", "text", "reasoning_content", "arguments", "transcript"):
        assert found(name, url) == Expiry()
        assert found(name, [url]) == Expiry()
        assert found("parts", [{"type": "text", name: url}]) == Expiry()
    for name in ("annotations", "citations", "search_results"):
        assert found(name, [{"a": {"url": url}}]) == Expiry()
    assert found("logprobs", {"content": [{"token": "https://e"}]}).at_s is None
    assert found("choices", [{"logprobs": {"content": [{"token": "https://e"}]}}]) == Expiry()


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (BEGIN, BEGIN), (BEGIN + 0.5, BEGIN + 0.5), (BEGIN * 1000, BEGIN), (1, 1.0), (0, 0.0), (-1, -1.0),
        (str(BEGIN), BEGIN), ("2024-01-01T00:00:00Z", BEGIN), ("2024-01-01 00:00:00", BEGIN),
        ("2024-01-01T00:00:00.25+00:00", BEGIN), (10**400, 1e12), (-(10**400), -1e15), ([BEGIN], BEGIN),
    ],
)  # fmt: skip
def test_expires_at_is_an_instant(value, ends):
    assert found("files", [{"expires_at": value}]) == Expiry(ends)
    assert found("expires_at", value) == Expiry(ends)


@pytest.mark.parametrize("value", ["soon", "", True, False, "2024-02-30T25:00:00Z"])
def test_expires_at_that_cannot_be_read_is_unknown(value):
    assert found("expires_at", value) == Expiry(unknown=True)


def test_what_says_nothing_does_not_end():
    assert find_expiry([]) == Expiry()
    assert found("expires_at", None) == Expiry()
    assert found("content", "expires_at: 5, https, ://") == Expiry()
    assert found("url", "s3://bucket/key") == Expiry()
    assert found("url", "data:image/png;base64,AAAA://") == Expiry()


def test_the_earliest_of_all_counts():
    parts = [{"expires_at": BEGIN}, {"expires_at": BEGIN - 5}, {"url": E}]
    assert found("files", parts) == Expiry(BEGIN - 5, unknown=True)


def test_text_that_cannot_be_read_or_is_very_deep_is_no_fault():
    assert find_expiry([("a", b'"\\ud800://"')]) == Expiry(unknown=True)
    deep = b"[" * 900 + json.dumps(E).encode() + b"]" * 900
    assert find_expiry([("a", deep)]) == Expiry(unknown=True)
    assert find_expiry([("a", b"[" * 10**5 + b'"://"' + b"]" * 10**5)]) == Expiry(unknown=True)
