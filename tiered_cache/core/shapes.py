"""Which form of an answer a shape is written in."""

from tiered_cache.core.vocabulary import Form, Shape

_JSON = frozenset({"json", "base64"})


def form_of(shape: Shape) -> Form:
    """Whether a shape is one JSON body, an event stream or bytes as they came."""
    if shape == "bytes":
        return "bytes"
    return "json" if shape in _JSON else "sse"
