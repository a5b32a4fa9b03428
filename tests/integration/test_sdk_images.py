"""The real OpenAI SDK makes pictures through gateway and transport: those of a seed are paid once."""

import json

from tests.core.chat_kit import compact
from tests.core.test_images import MODEL, USAGE, answer
from tests.integration.gateway_kit import JSON
from tests.integration.sdk_ways import EVENTS, WAYS, ScriptedOrigin, sdk
from tiered_cache import Cache
from tiered_cache.core.vocabulary import Scope

QUESTION = {"model": MODEL, "prompt": "a fox", "extra_body": {"seed": 7}}
DRAWN = {"background": "opaque", "created_at": 1, "output_format": "png", "quality": "low", "size": "auto"}


class Origin(ScriptedOrigin):
    """Draws another picture each time."""

    def reply(self, asked: dict) -> tuple[tuple[bytes, bytes], bytes]:
        picture = {"b64_json": f"picture{len(self.asked)}"}
        if asked.get("stream"):
            kinds = ("partial_image", "completed")
            said = [
                {**DRAWN, **picture, "type": f"image_generation.{kind}", "usage": USAGE} for kind in kinds
            ]
            lines = [b"event: %b\ndata: %b\n\n" % (one["type"].encode(), compact(one)) for one in said]
            return EVENTS, b"".join(lines)
        whom = {"safety_identifier": asked["safety_identifier"]} if "safety_identifier" in asked else {}
        return JSON, compact(answer(*[picture] * asked.get("n", 1), **whom))


@WAYS
async def test_a_picture_of_a_seed_is_paid_once_and_names_nobody(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        first = await opened.images.generate(**QUESTION, safety_identifier="anna", n=1)
        raw = await opened.images.with_raw_response.generate(
            **QUESTION, safety_identifier="bert", quality="auto"
        )
        again = raw.parse()
    assert len(origin.asked) == 1
    assert first.data[0].b64_json == again.data[0].b64_json == "picture1"
    assert (first.safety_identifier, again.safety_identifier) == ("anna", None)
    assert (first.usage.cost, again.usage.cost, again.usage.output_tokens) == (0.02, 0, 400)
    assert "; hit;" in raw.headers["cache-status"]
    assert raw.headers["x-tiered-cache-saved-usd"] == "0.02"


@WAYS
async def test_pictures_without_a_seed_are_made_anew(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for number in (1, 2):
            raw = await opened.images.with_raw_response.generate(model=MODEL, prompt="a fox")
            assert raw.parse().data[0].b64_json == f"picture{number}"
            assert "detail=sampled" in raw.headers["cache-status"]


@WAYS
async def test_a_stream_of_partial_pictures_is_passed_on_and_never_kept(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for number in (1, 2):
            stream = await opened.images.generate(**QUESTION, stream=True, partial_images=1)
            said = [(event.type, event.b64_json) async for event in stream]
            assert said == [
                ("image_generation.partial_image", f"picture{number}"),
                ("image_generation.completed", f"picture{number}"),
            ]
        assert (await opened.images.generate(**QUESTION)).data[0].b64_json == "picture3"


async def test_the_dict_call():
    origin = Origin()

    async def fetch(asked: dict) -> dict:
        return json.loads(origin.answer(compact(asked))[1])

    asked, scope = {"model": MODEL, "prompt": "a fox", "seed": 7}, Scope("acme", "origin")
    async with Cache.open() as cache:
        said = [(await cache.call("images/generations", asked, fetch, scope=scope)).value for _ in range(2)]
    assert [one["data"] for one in said] == [[{"b64_json": "picture1"}]] * 2
    assert len(origin.asked) == 1
