"""Hits per second of one gateway worker beside a raw ASGI app that answers a constant, and what a miss adds.

Both run under the same uvicorn settings and take turns, 1 KB calls and 4 KB answers over 16 connections.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count, cycle, islice
from statistics import median

import uvloop

from benchmarks.micro import calls, timing
from benchmarks.micro.load import http_request, load
from tiered_cache.simulation.process import ChildProcess

_CONNECTIONS = 16
_CALLS = 2000
_TURNS = 20
_UNSEEN = 15_000  # x 1 KB: as many as the gateway's memo of bodies cannot hold
FLOOR = "raw ASGI app, constant answer"
_NOTES = ("one worker, uvloop and httptools; 1 KB call, 4 KB answer; the load comes from the other core",)


@contextmanager
def _server(*arguments: str) -> Generator[int]:
    """A server of ours that says its port in its first line; it ends with the block or with this process."""
    process = ChildProcess(["-m", *arguments])
    try:
        yield int(process.first_line(arguments[0]).rpartition(":")[2])
    finally:
        process.stop()


def _gateway(origin_port: int) -> list[str]:
    upstream = f"http://127.0.0.1:{origin_port}/v1"
    return ["tiered_cache.cli.main", "serve", "--upstream", upstream, "--host", "127.0.0.1", "--port", "0"]


async def _measure(constant: int, origin: int, gateway: int, turns: int, per_turn: int) -> timing.Report:
    body = calls.compact(calls.chat(1024))
    contenders = {
        FLOOR: (constant, _always(http_request(body, constant))),
        "gateway, L1 hit, the same bytes": (gateway, _always(http_request(body, gateway))),
        "gateway, L1 hit, new bytes": (gateway, _unseen(body, gateway)),
    }
    for port, request in contenders.values():
        await load(port, request, 1, 50)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    alone: dict[str, list[int]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, (port, request) in contenders.items():
            start = time.perf_counter()
            await load(port, request, _CONNECTIONS, per_turn)
            rates[name].append(per_turn / (time.perf_counter() - start))
            alone[name] += await load(port, request, 1, max(10, per_turn // 10))
    hits = [timing.timing(f"{name}, one caller", samples) for name, samples in alone.items()]
    misses = await _misses(origin, gateway, turns, max(10, per_turn // 20))
    figures = _figures(rates) | {"a miss adds (p50, µs)": round(misses[1].p50_us - misses[0].p50_us)}
    return timing.report("gateway", (*hits, *misses), baseline=hits[0].name, figures=figures, notes=_NOTES)


def _figures(rates: dict[str, list[float]]) -> dict[str, float | int]:
    figures: dict[str, float | int] = {}
    for name, each in rates.items():
        shares = [own / top for own, top in zip(each, rates[FLOOR], strict=True)]
        figures[f"{name}: calls/s, {_CONNECTIONS} connections (median turn)"] = round(median(each))
        figures[f"{name}: share of the raw app's rate (median of turns)"] = round(median(shares), 3)
    return figures


async def _misses(origin: int, gateway: int, turns: int, per_turn: int) -> tuple[timing.Timing, ...]:
    """New calls one after the other, at the origin itself and through the gateway."""
    numbers = count()

    def fresh(port: int) -> Callable[[], bytes]:
        return lambda: http_request(calls.compact(calls.chat(1024, seed=next(numbers))), port)

    ports = {"origin itself": origin, "gateway, miss": gateway}
    samples: dict[str, list[int]] = {name: [] for name in ports}
    for _ in range(turns):
        for name, port in ports.items():
            samples[name] += await load(port, fresh(port), 1, per_turn)
    return tuple(timing.timing(f"{name}, one caller", each) for name, each in samples.items())


def _unseen(body: bytes, port: int) -> Callable[[], bytes]:
    """The same call in bytes that the gateway does not remember."""
    requests = cycle([http_request(each, port) for each in islice(calls.unseen(body), _UNSEEN)])
    return lambda: next(requests)


def _always(request: bytes) -> Callable[[], bytes]:
    return lambda: request


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__.splitlines()[0], argv)
    turns = max(1, options.rounds * _TURNS // timing.ROUNDS)
    per_turn = min(_CALLS, options.rounds * _CONNECTIONS)
    with ExitStack() as stack:
        constant, origin = (stack.enter_context(_server("benchmarks.micro.constant_app")) for _ in range(2))
        gateway = stack.enter_context(_server(*_gateway(origin)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(_measure(constant, origin, gateway, turns, per_turn))
    return timing.publish(report, options)


if __name__ == "__main__":
    raise SystemExit(main())
