"""Serves the simulated Requesty on loopback and says on which port it listens."""

import json
import socket

import uvicorn

from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.requesty import Requesty

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_GRACE_S = 1


def serve(port: int, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 takes a free one. Prints one JSON line when it listens.

    Raises OSError when the port is taken.
    """
    with socket.create_server((_LOOPBACK, port), backlog=_BACKLOG) as listening:
        config = uvicorn.Config(
            Requesty(settings),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
        )
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)  # noqa: T201  # whom to talk to
        uvicorn.Server(config).run(sockets=[listening])
