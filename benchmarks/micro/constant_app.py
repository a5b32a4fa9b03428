"""A raw ASGI app in a process of its own: the ceiling of any gateway, and an origin that answers at once.

`python -m benchmarks.micro.constant_app` prints the port when it listens.
"""

import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from benchmarks.micro import calls

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_ANSWER = calls.answer(4096)
# As many fields as a hit of the gateway carries.
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, max-age=86400"),
    (b"age", b"1"),
    (b"etag", b'"0123456789abcdef0123456789abcdef"'),
    (b"cache-status", b"constant; hit; ttl=86400; detail=none"),
    (b"x-request-id", b"0123456789abcdef0123456789abcdef"),
    (b"content-length", str(len(_ANSWER)).encode()),
]


async def app(_scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
    """Read the whole body, answer with 4 KB."""
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})


def main() -> int:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", lifespan="off", access_log=False, log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
