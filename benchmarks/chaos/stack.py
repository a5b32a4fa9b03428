"""What chaos happens to: two gateway processes, one Valkey behind a proxy, a simulated Requesty."""

import asyncio
import json
import os
import re
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.chaos.certificates import context, made
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import ChildProcess, SimulatedRequesty
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy

PASSWORD = "right"
FIRST_TOKEN_S = 0.02
"""The simulated origin's; a real one takes a hundred times longer, and what the cache adds is the same."""
_SECRET = "a secret that both gateways have"
_MEMORY = "64KiB"
"""Little, so that most hits are L2's."""
_FAULT = re.compile(r'^tiered_cache_tier_faults_total\{reason="([^"]+)",tier="L2"\} ([0-9.]+)$', re.MULTILINE)


class Gateway:
    """One `tiered-cache serve`."""

    def __init__(self, upstream: str, config: Path) -> None:
        variables = {name: value for name, value in os.environ.items() if name != "REQUESTY_API_KEY"}
        arguments = ["--port", "0", "--upstream", upstream, "--memory", _MEMORY, "--config", str(config)]
        self._process = ChildProcess(
            ["-m", "tiered_cache.cli.main", "serve", *arguments, "--log-level", "error"],
            variables | {"TIERED_CACHE_SECRET": _SECRET},
        )

    def wait_ready(self) -> None:
        """Read its address; blocks."""
        self.base = self._process.first_line("the gateway").split()[-1]

    @property
    def url(self) -> str:
        """API base."""
        return f"{self.base}/v1"

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _get(self, path: str) -> str:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.base + path, timeout=10) as answer:
            return answer.read().decode()

    async def faults(self) -> Counter[str]:
        """Faults of L2 so far, by reason."""
        page = await asyncio.to_thread(self._get, "/metrics")
        return Counter({reason: int(float(count)) for reason, count in _FAULT.findall(page)})

    async def health(self) -> str:
        """`ok` or `degraded`."""
        return str(json.loads(await asyncio.to_thread(self._get, "/healthz"))["status"])


class Stack:
    """All of it, running.

    Attributes:
        tls, other_tls: what the proxy speaks, and the same with a certificate that nobody trusts; None where
            Redis is reached without TLS.
    """

    def __init__(
        self,
        valkey: EmbeddedValkey,
        proxy: TcpProxy,
        origin: SimulatedRequesty,
        gateways: tuple[Gateway, Gateway],
        certificates: tuple[Path, Path] | None,
    ) -> None:
        self.valkey = valkey
        self.proxy = proxy
        self.origin = origin
        self.gateways = gateways
        self.tls = None if certificates is None else context(certificates[0])
        self.other_tls = None if certificates is None else context(certificates[1])

    async def command(self, *words: str | int, password: str | None = PASSWORD) -> object:
        """What Valkey says, asked past the proxy."""
        path = self.valkey.url.removeprefix("unix://")
        async with Redis(unix_socket_path=path, password=password, driver_info=None) as client:
            return await client.execute_command(*words)

    async def restart(self) -> None:
        """Start a killed Valkey: it is empty, and has its password again."""
        await asyncio.to_thread(self.valkey.start)
        await self.command("CONFIG", "SET", "requirepass", PASSWORD, password=None)

    async def faults(self) -> Counter[str]:
        """Faults of L2 that both gateways have counted."""
        first, second = await asyncio.gather(*(gateway.faults() for gateway in self.gateways))
        return first + second

    async def origin_calls(self) -> int:
        """Calls that the origin has got."""
        return (await asyncio.to_thread(self.origin.stats)).chat_calls


@asynccontextmanager
async def stack(read_deadline_s: float, *, tls: bool = False) -> AsyncGenerator[Stack]:
    """Everything started; ended by process id at the end of the block."""
    async with AsyncExitStack() as parts:
        directory = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        certificates = (made(directory, "trusted"), made(directory, "stranger")) if tls else None
        valkey = EmbeddedValkey()
        parts.callback(valkey.stop)
        await asyncio.to_thread(valkey.start)
        origin = SimulatedRequesty(Settings(first_token_s=FIRST_TOKEN_S))
        parts.callback(origin.stop)
        origin.start()
        proxy = TcpProxy(valkey.url.removeprefix("unix://"))
        await proxy.start(None if certificates is None else context(certificates[0]))
        parts.push_async_callback(proxy.refuse)
        config = directory / "gateway.toml"
        config.write_text(_config(proxy, certificates, read_deadline_s))
        gateways = (Gateway(origin.url, config), Gateway(origin.url, config))
        for gateway in gateways:
            parts.callback(gateway.stop)
        whole = Stack(valkey, proxy, origin, gateways, certificates)
        await whole.restart()
        for gateway in gateways:
            gateway.wait_ready()
        yield whole


def _config(proxy: TcpProxy, certificates: tuple[Path, Path] | None, read_deadline_s: float) -> str:
    scheme = "redis" if certificates is None else "rediss"
    lines = ["[cache.redis]", f'url = "{scheme}://:{PASSWORD}@{proxy.host}:{proxy.port}/0"']
    lines.append(f"read_deadline_s = {read_deadline_s}")
    if certificates is not None:
        lines.append(f'ca_file = "{certificates[0]}"')
    return "\n".join(lines) + "\n"
