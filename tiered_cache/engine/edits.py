"""What is set in a body on its way to the origin, and for whom."""

from msgspec.structs import replace

from tiered_cache.core.canonical import USAGE_ON_REQUEST, with_stream_requested, with_usage_requested
from tiered_cache.core.profiles import GENERATION
from tiered_cache.core.vocabulary import Keyed, Request


def lacks_usage(keyed: Keyed) -> bool:
    """Whether the origin leaves the token counts of this stream out, as nobody asked for them."""
    call = keyed.call
    return call.endpoint in USAGE_ON_REQUEST and call.stream and not call.include_usage


def with_usage(keyed: Keyed, request: Request) -> Request:
    """The one edit of a cacheable stream; a body with a Content-Encoding goes as it came."""
    if not lacks_usage(keyed) or request.plain_body is not None:
        return request
    return replace(request, body=with_usage_requested(request.body))


def as_stream(keyed: Keyed, request: Request) -> tuple[Keyed, Request]:
    """A call for JSON as one for a stream, where an operator's rule asks the origin for streams alone.

    What has no streams, and a body with a Content-Encoding, stays as it is.
    """
    call = keyed.call
    if call.stream or call.endpoint not in GENERATION or request.plain_body is not None:
        return keyed, request
    streamed = replace(call, stream=True)
    body = with_stream_requested(request.body)
    return replace(keyed, call=streamed, shape=streamed.shape), replace(request, body=body)


def in_mode(keyed: Keyed, *, stream: bool) -> Keyed:
    """The same call as one whose answer comes as a stream, or not: as another process asked for it."""
    if keyed.call.stream == stream:
        return keyed
    call = replace(keyed.call, stream=stream)
    return replace(keyed, call=call, shape=call.shape)
