"""How soon 4 gateway processes obey a purge through the admin API of one, also after a partition."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter_ns

import uvloop

from benchmarks.micro import calls, timing
from benchmarks.micro.load import http_request
from tiered_cache.simulation.process import ChildProcess
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy

_NODES = 4
_MOST_PURGES = 1000
_PURGES_PER_PARTITION = 20
_HEARTBEAT_S = 0.5
_TOKEN = "a token for benchmarks"
_POLL_S = 0.001
_PARTITIONS = {
    "hung": "connections hang",
    "lost": "what is sent is lost, and its connection silent for good",
    "refused": "connections are refused",
}
_NOTES = (
    "one Valkey on TCP, 4 gateways, and the caller of them all, on the cores above",
    "each gateway is asked with only-if-cached, one call after the other, until it has not the old answer",
    "after a partition it is asked every millisecond",
)


class _Line:
    """One kept-alive connection to a gateway."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asks = _with(http_request(calls.compact(calls.chat(1024)), port), "x-tiered-cache-tags: bench")
        self._peeks = _with(self._asks, "cache-control: only-if-cached")
        body = b'{"what":{"tag":"bench"},"by":"benchmark"}'
        self._purges = (
            f"POST /admin/purge HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {_TOKEN}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def hold(self) -> None:
        """Have the answer in this gateway's memory."""
        while b"detail=L1" not in await self._exchange(self._asks):  # noqa: ASYNC110  # a gateway tells nobody
            await asyncio.sleep(_POLL_S)

    async def holds(self) -> bool:
        """Whether it would answer without asking the origin."""
        return b" 200 " in (await self._exchange(self._peeks))[:16]

    async def purge(self) -> None:
        """Purge the answer on all gateways."""
        if b" 200 " not in (await self._exchange(self._purges))[:16]:
            raise RuntimeError("the purge was put off: the benchmark measures something else")

    async def _exchange(self, request: bytes) -> bytes:
        """The head of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.partition(b"content-length: ")
        await self._reader.readexactly(int(rest.partition(b"\r")[0]))
        return head


def _with(request: bytes, field: str) -> bytes:
    return request.replace(b"\r\n\r\n", f"\r\n{field}\r\n\r\n".encode(), 1)


@asynccontextmanager
async def _lines(ports: Sequence[int]) -> AsyncGenerator[list[_Line]]:
    async with AsyncExitStack() as stack:
        lines: list[_Line] = []
        for port in ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            lines.append(_Line(port, reader, writer))
        yield lines


async def _obeyed_ns(line: _Line, since_ns: int, rest_s: float = 0.0) -> int:
    """When the gateway had not the old answer any more."""
    while await line.holds():  # noqa: ASYNC110  # a gateway tells nobody
        await asyncio.sleep(rest_s)
    return perf_counter_ns() - since_ns


async def _spread(lines: list[_Line], purges: int) -> tuple[timing.Timing, ...]:
    """Each gateway in turn purges what all of them hold in memory."""
    took_ns: list[float] = []
    each_ns: list[float] = []
    all_ns: list[float] = []
    for number in range(purges):
        for line in lines:
            await line.hold()
        began_ns = perf_counter_ns()
        await lines[number % _NODES].purge()
        returned_ns = perf_counter_ns()
        obeyed = await asyncio.gather(*(_obeyed_ns(line, returned_ns) for line in lines))
        took_ns.append(returned_ns - began_ns)
        each_ns += obeyed
        all_ns.append(max(obeyed))
    return (
        timing.timing("purge of a tag by HTTP, until it returns", took_ns),
        timing.timing("and from then until a gateway obeys", each_ns),
        timing.timing(f"and from then until all of {_NODES} obey", all_ns),
    )


async def _healed(lines: list[_Line], proxy: TcpProxy, partitions: int, how: str) -> list[float]:
    """The last gateway is cut off from Redis while the first one purges."""
    took_ns: list[float] = []
    for number in range(partitions):
        for line in lines:
            await line.hold()
        match how:
            case "hung":
                proxy.hang()
            case "lost":
                proxy.lose()
            case _:
                await proxy.refuse()
        # It ends at another moment between two looks each time.
        await asyncio.sleep((3 + number / partitions) * _HEARTBEAT_S)
        await lines[0].purge()
        if not await lines[-1].holds():
            raise RuntimeError("the purge was heard in a partition: the benchmark measures something else")
        proxy.flow()
        await proxy.start()
        took_ns.append(await _obeyed_ns(lines[-1], perf_counter_ns(), _POLL_S))
    return took_ns


@contextmanager
def _server(*arguments: str, **variables: str) -> Generator[int]:
    """A server of ours that says its port in its first line; it ends with the block or with this process."""
    process = ChildProcess(["-m", *arguments], {**os.environ, **variables})
    try:
        yield int(process.first_line(arguments[0]).rpartition(":")[2])
    finally:
        process.stop()


def _gateway(folder: Path, name: str, redis_port: int, origin_port: int) -> list[str]:
    """What starts a gateway in front of that origin, at that port of Redis."""
    file = folder / f"{name}.toml"
    redis = f'url = "redis://127.0.0.1:{redis_port}"\nheartbeat_s = {_HEARTBEAT_S}\nread_deadline_s = 1.0'
    file.write_text(f"[cache.redis]\n{redis}\n")
    upstream = f"http://127.0.0.1:{origin_port}/v1"
    command = ["tiered_cache.cli.main", "serve", "--upstream", upstream, "--host", "127.0.0.1", "--port", "0"]
    return [*command, "--config", str(file)]


async def _measure(start: Callable[[int, int], list[int]], redis_port: int, rounds: int) -> timing.Report:
    purges = min(_MOST_PURGES, rounds)
    partitions = max(1, purges // _PURGES_PER_PARTITION)
    async with TcpProxy(("127.0.0.1", redis_port)) as proxy:
        ports = await asyncio.to_thread(start, redis_port, proxy.port)
        async with _lines(ports) as lines:
            spread = await _spread(lines, purges)
            took_ns = {how: await _healed(lines, proxy, partitions, how) for how in _PARTITIONS}
    healed = [
        timing.timing(f"after a partition in which {what}, until the gateway obeys", took_ns[how])
        for how, what in _PARTITIONS.items()
    ]
    figures = {
        "heartbeat (ms)": 1000 * _HEARTBEAT_S,
        f"from a purge's return until all of {_NODES} gateways obey (p99, ms)": _ms(spread[-1].p99_us),
    }
    for how, each_ns in took_ns.items():
        name = f"from the end of a partition until the gateway obeys, {how} (worst, ms)"
        figures[name] = _ms(max(each_ns) / 1000)
    return timing.report("purge_gateways", (*spread, *healed), figures=figures, notes=_NOTES)


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 1)


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__, argv)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(EmbeddedValkey(port=0))
        origin_port = stack.enter_context(_server("benchmarks.micro.constant_app"))
        secrets = {"TIERED_CACHE_SECRET": calls.SECRET, "TIERED_CACHE_ADMIN_TOKEN": _TOKEN}

        def start(redis_port: int, proxy_port: int) -> list[int]:
            places = [redis_port] * (_NODES - 1) + [proxy_port]
            return [
                stack.enter_context(_server(*_gateway(folder, str(number), port, origin_port), **secrets))
                for number, port in enumerate(places)
            ]

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert valkey.port is not None
            report = runner.run(_measure(start, valkey.port, options.rounds))
    return timing.publish(report, options)


if __name__ == "__main__":
    raise SystemExit(main())
