"""A messages origin on a raw server: JSON or events of the answer that the model's name asks for."""

import json

from tests.core.messages_kit import (
    CITED,
    HIDDEN,
    NO_INPUT,
    TEXT,
    THOUGHT,
    TOOL,
    answer,
    begin,
    block_events,
    stream,
)
from tests.integration.raw_server import Exchange, RawServer

ANSWERS = {
    "text": ((TEXT,), "end_turn"),
    "thoughts": ((THOUGHT, HIDDEN, TEXT), "end_turn"),
    "tools": ((THOUGHT, TEXT, TOOL, NO_INPUT), "tool_use"),
    "citations": ((CITED, TEXT), "end_turn"),
}
"""Blocks and stop reason of each answer."""


class MessagesServer(RawServer):
    """Answers `POST /v1/messages`; the model `cut` breaks its stream off, `long` runs out of tokens."""

    def __init__(self) -> None:
        super().__init__(self._handle)

    async def _handle(self, exchange: Exchange) -> None:
        call = json.loads(exchange.seen.body)
        blocks, stop = ANSWERS.get(call["model"], ((TEXT,), "max_tokens"))
        if not call.get("stream"):
            await exchange.answer(200, json.dumps(answer(*blocks, stop=stop)).encode(), "request-id: req_1")
            return
        await exchange.begin_chunked("request-id: req_1")
        if call["model"] == "cut":
            await exchange.chunk(begin() + b"".join(block_events(0, TEXT)[:3]))
            raise ConnectionError
        body = stream(*blocks, stop=stop)
        for at in range(0, len(body), 100):
            await exchange.chunk(body[at : at + 100])
        await exchange.end_chunked()
