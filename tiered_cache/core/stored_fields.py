"""Which field lines of an origin's answer are worth keeping with it (RFC 9111 §3.1)."""

import re

from tiered_cache.core.vocabulary import Headers

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_CONNECTION = b"connection"

_DROPPED = frozenset(
    {
        # Of one connection (RFC 9110 §7.6.1) and of one message's framing: rebuilt for each caller.
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"alt-svc",
        b"via",
        # Of these bytes in this coding: each rendering has its own.
        b"accept-ranges",
        b"content-digest",
        b"content-disposition",
        b"content-encoding",
        b"content-length",
        b"content-location",
        b"content-md5",
        b"content-range",
        b"content-type",
        b"digest",
        b"etag",
        b"last-modified",
        b"repr-digest",
        b"want-digest",
        # Of caching: written anew for each answer.
        b"age",
        b"cache-control",
        b"cache-groups",
        b"cache-status",
        b"cache-tag",
        b"cache-tags",
        b"date",
        b"expires",
        b"pragma",
        b"retry-after",
        b"surrogate-control",
        b"surrogate-key",
        b"vary",
        b"warning",
        b"x-cache",
        # Of one caller.
        b"authentication-info",
        b"clear-site-data",
        b"set-cookie",
        b"set-cookie2",
        b"www-authenticate",
        # Of one exchange: ids, traces, timings, load, limits.
        b"apim-request-id",
        b"azureml-model-session",
        b"cf-cache-status",
        b"cf-ray",
        b"nel",
        b"openai-organization",
        b"openai-processing-ms",
        b"openai-project",
        b"report-to",
        b"reporting-endpoints",
        b"request-id",
        b"server-timing",
        b"traceparent",
        b"tracestate",
        b"x-amz-cf-id",
        b"x-amz-cf-pop",
        b"x-amzn-requestid",
        b"x-amzn-trace-id",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-cloud-trace-context",
        b"x-correlation-id",
        b"x-envoy-upstream-service-time",
        b"x-ms-client-request-id",
        b"x-ms-request-id",
        b"x-request-id",
        b"x-response-time",
        b"x-runtime",
        b"x-served-by",
        b"x-should-retry",
        b"x-timer",
        b"x-trace-id",
    },
)

_DROPPED_PREFIXES = (
    b"access-control-",
    b"anthropic-ratelimit-",
    b"ratelimit",
    b"x-ratelimit",
    b"x-tiered-cache-",
)

_DROPPED_SUFFIXES = (b"-cache-control",)
"""Targeted fields (RFC 9213) are for caches on the way here."""


def valid_lines(headers: Headers) -> Headers:
    """The lines that may be sent on: tokens as names, no control bytes in values (RFC 9110 §5.5)."""
    return tuple([line for line in headers if _NAME.fullmatch(line[0]) and not _CONTROL.search(line[1])])


def stored_headers(headers: Headers) -> Headers:
    """The lines to keep, in order: none of one connection, one rendering, one caller or one exchange."""
    listed = {
        name.strip(b" \t").lower()
        for field, value in headers
        if field == _CONNECTION
        for name in value.split(b",")
    }
    return tuple(line for line in valid_lines(headers) if line[0] not in listed and _is_kept(line[0]))


def _is_kept(name: bytes) -> bool:
    if name in _DROPPED or name.startswith(_DROPPED_PREFIXES):
        return False
    return not name.endswith(_DROPPED_SUFFIXES)
