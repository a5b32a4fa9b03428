"""Whether a connection may carry another call: only if the origin sent its response and nothing after it.

What follows a response would be read as the answer to the next call, which is another caller's
(RFC 9112 §9.3: a client must not take bytes beyond the response for a valid one). httpcore2 keeps such bytes.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
from anyio.abc import UNIXSocketStream
from anyio.streams.tls import TLSStream

_MULTIPLEXED = frozenset({b"HTTP/2", b"HTTP/3"})


def used_once_unless_clean(response: httpx2.Response) -> httpx2.Response:
    """The same response; at its end the connection is closed if bytes are left over. Idempotent."""
    network = response.extensions.get("network_stream")
    stream = response.stream
    if network is None or response.extensions.get("http_version") in _MULTIPLEXED:
        return response
    if isinstance(stream, httpx2.AsyncByteStream) and not isinstance(stream, _Inspected):
        response.stream = _Inspected(stream, network)
    return response


class _Inspected(httpx2.AsyncByteStream):
    """A response body after whose end the connection is looked at before it is given back."""

    def __init__(self, stream: httpx2.AsyncByteStream, network: Any) -> None:
        self._stream = stream
        self._network = network

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        """Give the connection back, or close it."""
        await _spoil_unless_clean(self._stream, self._network)
        await self._stream.aclose()


async def _spoil_unless_clean(stream: Any, network: Any) -> None:
    """Make a connection with bytes left over unusable.

    There is no public way to see them: a connection whose inside is not as known is not used again.
    """
    try:
        # The pool's stream, the connection's stream, the connection.
        parser = stream._httpcore_stream._stream._connection._h11_state  # noqa: SLF001
        clean = not parser.trailing_data[0] and not _buffered(network._stream)  # noqa: SLF001
    except AttributeError:
        await network.aclose()
        return
    if not clean:
        parser.send_failed()  # httpcore2 closes a connection whose cycle has not ended well


def _buffered(socket: Any) -> bool:
    """Whether bytes were read off the socket that nobody has asked for. Those still in it the pool sees."""
    if isinstance(socket, TLSStream):
        pending = socket._read_bio.pending or socket._ssl_object.pending()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return pending > 0 or _buffered(socket.transport_stream)
    if isinstance(socket, UNIXSocketStream):
        return False
    return bool(socket._protocol.read_queue)  # noqa: SLF001
