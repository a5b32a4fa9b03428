"""The applications of the demonstration: the OpenAI SDK against the nodes, in several spellings."""

import time
from collections.abc import Sequence
from typing import Any, cast

import httpx2
import openai
from msgspec import Struct

from tiered_cache.cli.demo.stage import Node
from tiered_cache.simulation.requesty import is_answer_to
from tiered_cache.simulation.spelling import respell
from tiered_cache.simulation.workload import PlannedCall

KEYS = ("rqy_demo_first_application", "rqy_demo_second_application")
_SPELLING = "x-demo-spelling"
_RETRIES = 4
_TIMEOUT_S = 60.0
_CACHE_STATUS = "cache-status"


class Seen(Struct, frozen=True):
    """What a caller saw of one call.

    Attributes:
        how: `L1`, `disk`, `L2`, `collapsed`, `miss`, `bypass`, or `failed`.
        status: the Cache-Status field.
        took_s: until the last byte, with the waits between retries.
        retries: by the SDK, after an error of the origin.
        right: the answer belongs to this very call.
        first_s: until the first word of a stream; as `took_s` where the answer came whole.
        text: what the caller read.
    """

    call: PlannedCall
    node: str
    how: str
    status: str
    took_s: float
    retries: int
    right: bool
    first_s: float = 0.0
    text: str = ""


class Respelling(httpx2.AsyncBaseTransport):
    """Sends the SDK's calls on in the spelling that a header field of ours names."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=256))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        sdk = request.headers.pop(_SPELLING, None)
        if sdk is None:
            return await self._inner.handle_async_request(request)
        body = respell(await request.aread(), sdk)
        request.headers["content-length"] = str(len(body))
        spelled = httpx2.Request(
            request.method, request.url, headers=request.headers, content=body, extensions=request.extensions
        )
        return await self._inner.handle_async_request(spelled)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class Callers:
    """One SDK client for each node and API key, over one connection pool. Close it with `aclose`."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._http = httpx2.AsyncClient(transport=Respelling(), trust_env=False, timeout=_TIMEOUT_S)
        self._urls = {node.name: node.url for node in nodes}
        self._clients: dict[tuple[str, int], openai.AsyncOpenAI] = {}

    async def warm_up(self) -> None:
        """Open connections, and let the SDK load what it loads late, so that no measured call pays for it."""
        for node in self._urls:
            for tenant in range(len(KEYS)):
                await self._client(node, tenant).models.list()

    async def ask(self, node: str, call: PlannedCall) -> Seen:
        """Make one call; what goes wrong is seen, not raised."""
        began_s = time.perf_counter()
        try:
            status, retries, words = await self._answer(self._client(node, call.tenant), call)
        except openai.APIError as error:
            return Seen(
                call, node, "failed", type(error).__name__, time.perf_counter() - began_s, 0, right=False
            )
        took_s = time.perf_counter() - began_s
        text = "".join([word for _, word in words])
        first_s = words[0][0] - began_s if words else took_s
        right = is_answer_to(text, call.body)
        return Seen(call, node, outcome(status), status, took_s, retries, right, first_s, text)

    async def metrics(self, node: str) -> str:
        """The node's metrics page."""
        answer = await self._http.get(self._urls[node].removesuffix("/v1") + "/metrics")
        return answer.raise_for_status().text

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _client(self, node: str, tenant: int) -> openai.AsyncOpenAI:
        client = self._clients.get((node, tenant))
        if client is None:
            key = KEYS[tenant] if tenant < len(KEYS) else f"rqy_demo_application_{tenant}"
            client = self._clients[node, tenant] = openai.AsyncOpenAI(
                api_key=key, base_url=self._urls[node], http_client=self._http, max_retries=_RETRIES
            )
        return client

    async def _answer(
        self, client: openai.AsyncOpenAI, call: PlannedCall
    ) -> tuple[str, int, list[tuple[float, str]]]:
        """Cache-Status, retries, and the parts of the text or of the tool call, with their times."""
        create = cast("Any", client.chat.completions.with_raw_response.create)  # overloads by literal fields
        raw = await create(**call.body, extra_headers={_SPELLING: call.sdk})
        status = raw.headers.get(_CACHE_STATUS, "")
        if call.body.get("stream"):
            words = await _streamed(raw.parse())
        else:
            words = [(time.perf_counter(), _spoken(raw.parse().choices[0].message))]
        return status, raw.retries_taken, words


def outcome(status: str) -> str:
    """Where an answer came from, by the last member of its Cache-Status (RFC 9211 §2)."""
    words = [word.strip() for word in status.rpartition(",")[2].split(";")]
    details = [word.removeprefix("detail=") for word in words if word.startswith("detail=")]
    if "hit" in words:
        return details[0].partition("/")[0] if details else "hit"
    if "collapsed" in words:
        return "collapsed"
    return "bypass" if "fwd=bypass" in words else "miss"


async def _streamed(stream: Any) -> list[tuple[float, str]]:
    async with stream:
        said = [
            (time.perf_counter(), _spoken(event.choices[0].delta)) async for event in stream if event.choices
        ]
    return [(at_s, word) for at_s, word in said if word]


def _spoken(said: Any) -> str:
    """The text of a message or of a piece of one, or the arguments of the function it calls."""
    if said.tool_calls:
        return said.tool_calls[0].function.arguments or ""
    return said.content or ""
