"""The real OpenAI SDK over completions: through gateway and transport every shape of an entry is one answer."""

import json

import httpx2
import openai
import pytest

from tests.core.chat_kit import compact, stream
from tests.core.test_completions import LOGPROBS, MODEL, answer, choice, chunk
from tests.integration.gateway_kit import JSON
from tests.integration.sdk_ways import BASE, EVENTS, WAYS, ScriptedOrigin, sdk
from tiered_cache import BlockingCache, Cache
from tiered_cache.core.vocabulary import Scope
from tiered_cache.integrations.transport import CacheTransport

QUESTION = {"model": MODEL, "prompt": "say hi", "temperature": 0}
VALUE = answer(choice("hello there", logprobs=LOGPROBS))


class Origin(ScriptedOrigin):
    """Completes in the shape that it is asked for, and keeps what it was asked."""

    def __init__(self, value=None):
        super().__init__()
        self.value = VALUE if value is None else value

    def reply(self, asked: dict) -> tuple[tuple[bytes, bytes], bytes]:
        if not asked.get("stream"):
            return JSON, compact(self.value)
        said = []
        for one in self.value["choices"]:
            said.append(chunk(one | {"text": one["text"][:5], "finish_reason": None}))
            said.append(chunk(one | {"text": one["text"][5:], "logprobs": None}))
        wanted = (asked.get("stream_options") or {}).get("include_usage")
        return EVENTS, stream(*said, *([chunk(usage=self.value["usage"])] if wanted else []))


async def by_json(opened, **fields):
    """(choices, usage) as plain values."""
    told = await opened.completions.create(**{**QUESTION, **fields})
    return [one.to_dict() for one in told.choices], told.usage.to_dict()


async def by_stream(opened, *, usage=True, **fields):
    """The same, put together as an application does it; usage is None where no chunk has one."""
    options = {"stream_options": {"include_usage": True}} if usage else {}
    choices, spent = {}, None
    async for told in await opened.completions.create(**{**QUESTION, **fields}, stream=True, **options):
        spent = spent if told.usage is None else told.usage.to_dict()
        for one in told.choices:
            known = choices.setdefault(one.index, {"text": "", "index": one.index, "logprobs": None})
            known["text"] += one.text
            known["logprobs"] = known["logprobs"] if one.logprobs is None else one.logprobs.to_dict()
            known["finish_reason"] = one.finish_reason
    return [choices[index] for index in sorted(choices)], spent


def free(usage):
    return {**usage, "cost": 0}


@WAYS
@pytest.mark.parametrize("filler", [by_json, by_stream])
async def test_one_entry_answers_json_and_streams(way, filler):
    origin = Origin()
    wanted = VALUE["choices"], VALUE["usage"]
    async with sdk(way, origin) as opened:
        assert await filler(opened) == wanted
        assert await by_json(opened) == (wanted[0], free(wanted[1]))
        assert await by_stream(opened) == (wanted[0], free(wanted[1]))
        assert await by_stream(opened, usage=False) == (wanted[0], None)
    assert len(origin.asked) == 1


@WAYS
async def test_a_stream_that_did_not_ask_for_usage_fills_an_entry_that_has_it(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        assert (await by_stream(opened, usage=False))[1] is None
        assert (await by_json(opened))[1] == free(VALUE["usage"])
    assert [asked["stream_options"] for asked in origin.asked] == [{"include_usage": True}]


@WAYS
async def test_prompts_and_choices_come_back_in_order(way):
    value = answer(*(choice(f"number {index}", index) for index in range(4)))
    origin = Origin(value)
    async with sdk(way, origin) as opened:
        for reader in (by_stream, by_json, by_stream):
            assert (await reader(opened, prompt=["a", "b"], n=2))[0] == value["choices"]
    assert len(origin.asked) == 1


@WAYS
async def test_other_calls_are_other_calls_and_samples_are_not_kept(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for fields in (
            {},
            {"echo": False, "n": 1},
            {"prompt": ["say hi"]},
            {"prompt": [1, 2]},
            {"logprobs": 0},
        ):
            await by_json(opened, **fields)
        assert len(origin.asked) == 4
        for _ in range(2):
            await by_json(opened, temperature=1)
    assert len(origin.asked) == 6


@WAYS
async def test_texts_that_were_cut_off_are_asked_for_again(way):
    origin = Origin(answer(choice("hello there", finish="length")))
    async with sdk(way, origin) as opened:
        for reader in (by_json, by_stream):
            raw = await opened.completions.with_raw_response.create(**QUESTION)
            assert "detail=finish-reason" in raw.headers["cache-status"] or reader is by_json
            assert (await reader(opened))[0][0]["finish_reason"] == "length"
    assert len(origin.asked) == 4


def test_a_synchronous_program_reads_the_same_and_chat_is_not_mistaken_for_it():
    origin = Origin()
    with (
        BlockingCache.open() as cache,
        httpx2.Client(transport=CacheTransport(cache, httpx2.MockTransport(origin.handle))) as http,
        openai.OpenAI(base_url=BASE, api_key="k", max_retries=0, http_client=http) as opened,
    ):
        for _ in range(2):
            assert opened.completions.create(**QUESTION).choices[0].text == "hello there"
        raw = opened.post("/chat/completions", body=QUESTION, cast_to=httpx2.Response)
        assert "detail=field-type" in raw.headers["cache-status"]  # no messages: read as chat
    assert len(origin.asked) == 2


async def test_the_dict_call():
    origin = Origin()

    async def fetch(asked: dict) -> dict:
        return json.loads(origin.answer(compact(asked))[1])

    async with Cache.open() as cache:
        scope = Scope("acme", "origin")
        said = [(await cache.call("completions", QUESTION, fetch, scope=scope)).value for _ in range(2)]
    assert said == [VALUE, {**VALUE, "usage": free(VALUE["usage"])}]
    assert len(origin.asked) == 1
