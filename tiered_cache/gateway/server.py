"""Runs the gateway on uvicorn: socket first, own signals, answers under way finish before all closes."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial

from msgspec.structs import replace

from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.errors import ConfigError, MissingExtraError
from tiered_cache.gateway.app import Gateway
from tiered_cache.gateway.config import GatewayConfig, check
from tiered_cache.gateway.ending import Ending
from tiered_cache.integrations.origin import HttpOrigin

try:
    import uvicorn
    import uvloop

    from tiered_cache.gateway.protocol import HttpProtocol
except ImportError as error:
    raise MissingExtraError("tiered-cache serve", "gateway") from error

_log = logging.getLogger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than load balancers keep theirs (60 s), so that it is never we who close under a request."""

_LEAST_CLOSE_S = 1.0
"""What closing the cache may take even when the drain has used all its time."""


def run(config: GatewayConfig, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; blocks.

    Args:
        config: checked here.
        announce: called once with the gateway's URL when it accepts connections.

    Raises:
        ConfigError: the configuration cannot be used, or the address cannot be listened on.
    """
    check(config)
    with (
        closing(listen(config.host, config.port)) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(config, listener, announce))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError that says which flag to change."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"the address {host} cannot be resolved: choose another with --host") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(_unbound(error, host, port)) from error
    return listener


def _unbound(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: choose another with --port, or stop what listens there"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port} ({error.strerror}): choose others with --host and --port"


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(config: GatewayConfig, listener: socket.socket, announce: Callable[[str], None]) -> None:
    origin = HttpOrigin(
        config.upstream,
        connect_timeout_s=config.connect_timeout_s,
        read_timeout_s=config.read_timeout_s,
        api_key=str(config.upstream_key) if config.injects else None,
    )
    config = replace(config, cache=_named(config.cache, origin.origin_id))
    try:
        async with Cache.open(config.cache) as cache:
            gateway = Gateway(cache, origin, config)
            server = Server(gateway, config.drain_s, lambda: announce(url_of(listener)))
            _log.info("%s", _summary(config))
            with server.signals():
                await server.serve([listener])
                await cache.close(server.left_s())
    finally:
        await origin.aclose()


def _named(config: CacheConfig, origin_id: str) -> CacheConfig:
    """The upstream names the partition unless the operator has named it."""
    return replace(config, origin_id=origin_id) if config.origin_id == "default" else config


def _summary(config: GatewayConfig) -> str:
    """What was configured, in a line without anything secret (addresses of Redis may hold a password)."""
    tiers = ["memory"]
    tiers += ["disk"] if config.cache.disk is not None else []
    tiers += ["redis"] if config.cache.redis is not None else []
    who = "passed on"
    if config.injects:
        who = f"injected for {len(config.client_keys)} client keys" if config.client_keys else "injected"
    return f"upstream {config.upstream}, tiers {' + '.join(tiers)}, credentials {who}"


class Server(uvicorn.Server):
    """uvicorn that ends with exit code 0 after a signal, and says when it is ready.

    Args:
        gateway: the app; told when draining begins.
        drain_s: how long answers under way may take then.
        ready: called once when connections are accepted.
    """

    def __init__(self, gateway: Gateway, drain_s: int, ready: Callable[[], None]) -> None:
        super().__init__(_uvicorn_config(gateway, drain_s))
        self._gateway = gateway
        self._drain_s = drain_s
        self._ready = ready
        self._stopped_s: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, then say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # modules and tables live as long as the process: no collection need look at them again
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain; calls that are still under way then get their last word before the cache closes."""
        await super().shutdown(sockets)
        left = list(self.server_state.tasks)
        for task in left:
            if not task.cancelling():  # a second one would cut the word off
                task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LEAST_CLOSE_S)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: uvicorn would raise the signal again after draining, and that would be the exit code."""
        yield

    @contextmanager
    def signals(self) -> Generator[None]:
        """SIGTERM and SIGINT stop this server while the block runs."""
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT)
        for number in handled:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Stop accepting and drain; a second time, do not wait for answers under way."""
        if self._stopped_s is None:
            self._stopped_s = time.monotonic()
        self.force_exit = self.should_exit
        self.should_exit = True
        self._gateway.draining = True

    def left_s(self) -> float:
        """What is left of the drain's time for closing the cache, but always a little."""
        if self.force_exit or self._stopped_s is None:
            return _LEAST_CLOSE_S
        return max(_LEAST_CLOSE_S, self._stopped_s + self._drain_s - time.monotonic())


def _uvicorn_config(gateway: Gateway, drain_s: int) -> uvicorn.Config:
    return uvicorn.Config(
        Ending(gateway),
        http=partial(HttpProtocol, gateway.instant),  # type: ignore[arg-type]  # it is called, no more
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
        backlog=_BACKLOG,
    )
