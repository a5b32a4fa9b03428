"""Fifty SDK clients join one generation through a gateway at random moments; a stalled socket costs nobody."""

import asyncio
import json
import random
import socket
import threading
import time
from pathlib import Path

import anthropic
import openai
import pytest

from tests.integration.gateway_process import GatewayProcess, until
from tests.integration.raw_server import RawServer

CLIENTS = 50
WORDS = 60
QUESTION = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me a story"}],
    "temperature": 0,
}
MESSAGE = {
    "model": "claude-opus-5-0",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Tell me a story"}],
}
TEXT = "".join(f" word{number}" for number in range(WORDS))


def chat_events():
    """A story of many words."""
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}

    def chunk(delta, end=None):
        return told | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}

    said = [chunk({"role": "assistant", "content": ""})]
    said += [chunk({"content": f" word{number}"}) for number in range(WORDS)]
    said.append(chunk({}, "stop"))
    said.append(told | {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 60, "cost": 0.5}})
    return [b"data: %b\n\n" % json.dumps(each).encode() for each in said] + [b"data: [DONE]\n\n"]


def message_events():
    """The same as messages."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "claude-opus-5-0"}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    said = [{"type": "message_start", "message": message}]
    said.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for number in range(WORDS):
        delta = {"type": "text_delta", "text": f" word{number}"}
        said.append({"type": "content_block_delta", "index": 0, "delta": delta})
    said.append({"type": "content_block_stop", "index": 0})
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    said.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 60}})
    said.append({"type": "message_stop"})
    return [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in said]


class StoryTeller(RawServer):
    """Tells its story word by word, a word each 20 ms."""

    def __init__(self):
        super().__init__(self._handle)

    async def _handle(self, exchange):
        await exchange.begin_chunked("x-request-id: origin-1")
        pieces = message_events() if "/messages" in exchange.seen.target else chat_events()
        for piece in pieces:
            await exchange.chunk(piece)
            await asyncio.sleep(0.02)
        await exchange.end_chunked()


async def openai_client(sdk, luck):
    """The text that one client ends with; None for one that leaves early."""
    leaves_after = luck.choice([None, None, None, 3])
    stream = await sdk.chat.completions.create(**QUESTION, stream=True)
    return await taken(stream, luck, leaves_after, lambda event: event.choices[0].delta.content or "")


async def anthropic_client(sdk, luck):
    leaves_after = luck.choice([None, None, None, 3])
    async with sdk.messages.stream(**MESSAGE) as stream:
        return await taken(stream.text_stream, luck, leaves_after, str)


async def taken(stream, luck, leaves_after, text_of):
    slow_s = luck.choice([0, 0, 0.01, 0.03])
    said = ""
    count = 0
    async for event in stream:
        said += text_of(event)
        count += 1
        if leaves_after is not None and count > leaves_after:
            if hasattr(stream, "close"):
                await stream.close()
            return None
        await asyncio.sleep(slow_s)
    return said


async def crowd(make, one_client, seed):
    luck = random.Random(seed)

    async def client():
        await asyncio.sleep(luck.uniform(0, 1.0))
        async with make() as sdk:
            return await one_client(sdk, random.Random(luck.random()))

    return await asyncio.gather(*[client() for _ in range(CLIENTS)])


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_fifty_clients_join_one_generation_and_all_who_stay_read_the_same(dialect):
    """Issue 5: some leave early, some read slowly, all who stay end with identical text."""
    with StoryTeller() as origin, GatewayProcess("--upstream", origin.url) as node:

        def make():
            if dialect == "openai":
                return openai.AsyncOpenAI(base_url=node.url, api_key="k", max_retries=0, timeout=20)
            return anthropic.AsyncAnthropic(base_url=node.base, api_key="k", max_retries=0, timeout=20)

        one_client = openai_client if dialect == "openai" else anthropic_client
        texts = asyncio.run(crowd(make, one_client, seed=5))
        stayed = [text for text in texts if text is not None]

        assert len(stayed) > CLIENTS // 2 > CLIENTS - len(stayed) > 0
        assert set(stayed) == {TEXT}
        assert len(origin.seen) == 1
        until(lambda: "tiered_cache_flight_callers 0.0" in node.get("/metrics"))
        page = node.get("/metrics")
    assert 'tiered_cache_leader_total{reason="stream"} 1.0' in page
    assert 'tiered_cache_flights{state="awaited"} 0.0' in page
    followers = [line for line in page.split("\n") if line.startswith("tiered_cache_follower_total")]
    assert float(followers[0].split()[-1]) >= CLIENTS // 2


def memory_kib(pid):
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Torrent(RawServer):
    """Five megabytes of events, as fast as they are taken, behind a first one that waits for `go`."""

    SIZE = 5 * 2**20

    def __init__(self):
        super().__init__(self._handle)
        self.go = threading.Event()

    async def _handle(self, exchange):
        pieces = chat_events()
        await exchange.begin_chunked()
        await exchange.chunk(pieces[0])
        await asyncio.to_thread(self.go.wait, 20)
        word = pieces[1].replace(b" word0", b"x" * 4000)
        for _ in range(self.SIZE // len(word)):
            await exchange.chunk(word)
        for piece in pieces[-3:]:
            await exchange.chunk(piece)
        await exchange.end_chunked()


def stalled_sockets(node, count):
    """Callers that send their request and read nothing."""
    sent = json.dumps(QUESTION | {"stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
        f"content-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n"
    )
    host, port = node.base.removeprefix("http://").split(":")
    sockets = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((host, int(port)))
        sock.sendall(head.encode() + sent)
        sockets.append(sock)
    return sockets


def test_stalled_sockets_hold_no_copy_of_the_body_and_hold_up_nobody():
    """Issue 5: memory per flight is bounded by one copy of the body, whoever stalls."""
    count = 40
    with Torrent() as origin, GatewayProcess("--upstream", origin.url) as node:
        stalled = stalled_sockets(node, count)
        until(lambda: f"tiered_cache_flight_callers {count}.0" in node.get("/metrics"))
        before = memory_kib(node.process.pid)
        origin.go.set()
        with openai.OpenAI(base_url=node.url, api_key="k", max_retries=0, timeout=20) as sdk:
            began_s = time.monotonic()
            chunks = list(sdk.chat.completions.create(**QUESTION, stream=True))
            took_s = time.monotonic() - began_s
        grown = (memory_kib(node.process.pid) - before) * 1024
        for sock in stalled:
            sock.close()
        until(lambda: "tiered_cache_flight_callers 0.0" in node.get("/metrics"))

    assert sum(len(chunk.choices[0].delta.content or "") for chunk in chunks if chunk.choices) > 4_500_000
    assert took_s < 15
    assert len(origin.seen) == 1
    # The events, their texts, the stored answer, and what each stalled socket buffers: not forty bodies.
    assert grown < 8 * Torrent.SIZE + count * 200_000
