"""A chat origin on a raw server: deterministic answers, JSON or events, priced usage, scripted troubles."""

import hashlib
import json
import threading

from tests.integration.raw_server import Exchange, RawServer, Seen

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost": 0.00125}


def text_for(body: dict) -> str:
    """What this origin answers: a function of all that matters in the request."""
    kept = {key: value for key, value in body.items() if key not in {"stream", "stream_options"}}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
    return f"Caf\u00e9 {digest}"


def answer(body: dict) -> bytes:
    message = {"role": "assistant", "content": text_for(body)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return json.dumps(told | {"choices": [choice], "usage": USAGE}).encode()


def events(body: dict) -> list[bytes]:
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    first, second = text_for(body).split(" ")
    deltas = [({"role": "assistant", "content": ""}, None), ({"content": first}, None)]
    deltas += [({"content": f" {second}"}, None), ({}, "stop")]
    chunks = [
        told | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas
    ]
    if body.get("stream_options", {}).get("include_usage"):
        chunks.append(told | {"choices": [], "usage": USAGE})
    return [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


class ChatServer(RawServer):
    """`troubles` are taken first, one each call: handlers that stand in for the ordinary answer.

    While `hold` is clear, a stream waits after its second event and a JSON answer before its head.
    """

    def __init__(self) -> None:
        super().__init__(self._handle)
        self.troubles = []
        self.hold = threading.Event()
        self.hold.set()

    @property
    def chats(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.target.startswith("/v1/chat/completions")]

    async def _handle(self, exchange: Exchange) -> None:
        if self.troubles:
            await self.troubles.pop(0)(exchange)
        elif not exchange.seen.target.startswith("/v1/chat/completions"):
            await exchange.answer(200, b'{"object":"list","data":[]}', "x-passed: by")
        elif json.loads(exchange.seen.body).get("stream"):
            await self._stream(exchange)
        else:
            await self._released()
            await exchange.answer(200, answer(json.loads(exchange.seen.body)), "x-request-id: origin-1")

    async def _stream(self, exchange: Exchange) -> None:
        await exchange.begin_chunked("x-request-id: origin-1")
        for number, event in enumerate(events(json.loads(exchange.seen.body))):
            if number == 2:
                await self._released()
            await exchange.chunk(event)
        await exchange.end_chunked()

    async def _released(self) -> None:
        await self.loop.run_in_executor(None, self.hold.wait, 10)
