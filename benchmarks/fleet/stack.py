"""What the figures are taken of: gateway processes that share a Valkey."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from tiered_cache.simulation.process import ChildProcess
from tiered_cache.simulation.valkey import EmbeddedValkey

NODES = 4
SECRET = "a secret that all processes have"
_PASSWORD = "fleet"


class Gateway:
    """One `tiered-cache serve`; `killed` and `start`ed again it is another process.

    Args:
        upstream: API base of the origin.
        config: its file.
    """

    def __init__(self, upstream: str, config: Path) -> None:
        self._upstream = upstream
        self._config = config
        self._process: ChildProcess | None = None
        self.port = 0

    def launch(self) -> None:
        """Start it without waiting for it."""
        variables = {name: value for name, value in os.environ.items() if name != "REQUESTY_API_KEY"}
        arguments = ["--port", "0", "--upstream", self._upstream, "--config", str(self._config)]
        self._process = ChildProcess(
            ["-m", "tiered_cache.cli.main", "serve", *arguments, "--log-level", "error"],
            variables | {"TIERED_CACHE_SECRET": SECRET},
        )

    def wait_ready(self) -> None:
        """Read its address; blocks."""
        self.port = int(self._running.first_line("the gateway").rpartition(":")[2])

    @property
    def _running(self) -> ChildProcess:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        os.kill(self._running.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._process is not None:
            self._process.stop()


class Fleet:
    """Gateways that run.

    Attributes:
        valkey: theirs.
        gateways: in order; each is another user of it.
    """

    def __init__(self, valkey: EmbeddedValkey, gateways: list[Gateway]) -> None:
        self.valkey = valkey
        self.gateways = gateways

    @property
    def ports(self) -> list[int]:
        """Of the gateways."""
        return [gateway.port for gateway in self.gateways]

    def client(self) -> Redis:
        """A connection past everything."""
        return Redis.from_url(self.valkey.url, driver_info=None)

    async def restart(self, number: int) -> None:
        """Have a killed gateway again."""
        gateway = self.gateways[number]
        await asyncio.to_thread(gateway.stop)
        gateway.launch()
        await asyncio.to_thread(gateway.wait_ready)


def user(number: int) -> str:
    """Whose commands are those of a gateway."""
    return f"gateway{number}"


async def _add_user(valkey: EmbeddedValkey, number: int) -> None:
    async with Redis.from_url(valkey.url, driver_info=None) as client:
        rights = ("on", f">{_PASSWORD}", "~*", "&*", "+@all")
        await client.execute_command("ACL", "SETUSER", user(number), *rights)


@asynccontextmanager
async def fleet(
    upstream: str,
    valkey: EmbeddedValkey,
    *redis: str,
    nodes: int = NODES,
    ports: dict[int, int] | None = None,
) -> AsyncGenerator[Fleet]:
    """Gateways started; ended by process id at the end of the block.

    Args:
        upstream: API base of the origin.
        valkey: running.
        redis: lines of the configuration for each gateway, or for all.
        nodes: how many.
        ports: of proxies before the Valkey, by the gateway's number.
    """
    proxies = {} if ports is None else ports
    gateways: list[Gateway] = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            for number in range(nodes):
                await _add_user(valkey, number)
                port = proxies.get(number, valkey.port)
                config = Path(directory) / f"{number}.toml"
                url = f'url = "redis://{user(number)}:{_PASSWORD}@127.0.0.1:{port}/0"'
                config.write_text("\n".join(["[cache.redis]", url, redis[number % len(redis)]]) + "\n")
                gateways.append(Gateway(upstream, config))
                gateways[-1].launch()
            for gateway in gateways:
                gateway.wait_ready()
            yield Fleet(valkey, gateways)
        finally:
            for gateway in gateways:
                gateway.stop()
