"""One origin call for all processes of a fleet."""

import asyncio

import pytest

from tests.scenarios.fleet_world import fleet
from tests.scenarios.world import EVENTS, JSON, KEY, OTHER_KEY, Origin, Seen, Stream, answer, body, events
from tiered_cache import Gives, Response, Rule
from tiered_cache.errors import OriginUnreachableError


def gated(*replies) -> Origin:
    origin = Origin(*replies)
    origin.gate = asyncio.Event()
    return origin


async def settle(seconds=0.05):
    await asyncio.sleep(seconds)


async def test_two_processes_ask_once():
    origin = gated(answer("once"))
    async with fleet() as (one, two):
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two) for _ in range(5)]
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(*asks)

    assert origin.calls == 1
    assert {each.text for each in seen} == {"once"}
    assert sum("collapsed" in each.cache_status for each in seen) == 9


async def test_what_was_followed_is_in_memory_and_saved_not_spent():
    origin = gated(answer("once"))
    async with fleet() as (one, two):
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*asks)
        again = [await node.ask(body(), origin) for node in (one, two)]
        ledgers = one.cache.ledger, two.cache.ledger

    assert origin.calls == 1
    assert all(each.hit for each in again)
    assert sorted(ledger.spent_picousd for ledger in ledgers) == [0, 1_250_000_000]
    assert sum(ledger.upstream_calls for ledger in ledgers) == 1


async def test_a_follower_reads_a_stream_while_it_is_written():
    pieces = events("a b c")
    rest = asyncio.Event()

    async def live():
        for piece in pieces[:2]:
            yield piece
        await rest.wait()
        for piece in pieces[2:]:
            yield piece

    origin = Origin(Response(200, (EVENTS,), b""))

    async def ask_origin(request):
        origin.requests.append(request)
        return Response(200, (EVENTS,), live())

    async with fleet() as (one, two):
        led = await one.cache.serve(one.request(body(stream=True)), ask_origin)
        leading = asyncio.create_task(Seen.of(led))
        await settle()
        followed = await two.cache.serve(two.request(body(stream=True)), ask_origin)
        first = await asyncio.wait_for(anext(followed.body), 1)
        assert b'"a"' in first
        rest.set()
        others = b"".join([piece async for piece in followed.body])
        seen = await leading

    assert origin.calls == 1
    assert (first + others).replace(b'"cost":0', b'"cost":0.00125').endswith(b"data: [DONE]\n\n")
    assert seen.text == "abc"


async def test_a_json_caller_follows_a_stream_elsewhere():
    gate = asyncio.Event()
    origin = Origin(Stream(events("a b c"), gate=gate))
    async with fleet() as (one, two):
        led = await one.cache.serve(one.request(body(stream=True)), origin)
        leading = asyncio.create_task(Seen.of(led))
        following = asyncio.create_task(two.ask(body(), origin))
        await settle()
        gate.set()
        seen = await following
        await leading

    assert origin.calls == 1
    assert seen.text == "abc"
    assert seen.headers[b"content-type"] == b"application/json"


async def test_an_error_response_ends_the_flight_for_all():
    origin = gated(Response(429, (JSON, (b"retry-after", b"3")), b'{"error":{"message":"slow down"}}'))
    async with fleet() as (one, two):
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(*asks)

    assert origin.calls == 1
    assert [each.status for each in seen] == [429, 429]
    assert all(each.headers[b"retry-after"] == b"3" for each in seen)


async def test_an_answer_about_the_leaders_credential_is_not_the_followers():
    origin = gated(Response(402, (JSON,), b"{}"), answer("paid"))
    async with fleet(tenants={}) as (one, two):
        first = asyncio.create_task(one.ask(body(), origin))
        await settle()
        second = asyncio.create_task(two.ask(body(), origin, key=OTHER_KEY))
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(first, second)

    assert [each.status for each in seen] == [402, 200]


async def test_one_successor_takes_over_from_a_call_that_failed():
    origin = gated(OSError("reset"), answer("second"))
    async with fleet(3) as nodes:
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in nodes for _ in range(2)]
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(*asks, return_exceptions=True)

    assert origin.calls == 2
    assert sum(isinstance(each, OSError) for each in seen) == 1
    assert sum(not isinstance(each, BaseException) and each.text == "second" for each in seen) == 5


async def test_there_is_one_takeover_and_no_storm():
    origin = gated(OSError("reset"))
    async with fleet(3) as nodes:
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in nodes for _ in range(2)]
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(*asks, return_exceptions=True)

    assert origin.calls == 2
    assert all(isinstance(each, (OSError, OriginUnreachableError)) for each in seen)


async def test_the_leaders_caller_may_leave():
    origin = gated(answer("for the others"))
    async with fleet(linger_s=0.0) as (one, two):
        leaving = asyncio.create_task(one.ask(body(), origin))
        await settle()
        staying = asyncio.create_task(two.ask(body(), origin))
        await settle()
        leaving.cancel()
        await settle()
        origin.gate.set()
        seen = await staying

    assert origin.calls == 1
    assert seen.text == "for the others"


async def test_when_all_have_left_anywhere_the_call_is_given_up():
    origin = gated(answer())
    rules = (Rule(gives=Gives(on_abandon="cancel")),)
    async with fleet(linger_s=0.05, rules=rules) as (one, two):
        asks = [asyncio.create_task(node.ask(body(stream=True), origin)) for node in (one, two)]
        await settle()
        for ask in asks:
            ask.cancel()
        await settle(0.3)
        under_way = [node.cache.traffic().flights for node in (one, two)]

    assert under_way == [0, 0]


async def test_without_a_healthy_board_every_process_asks_for_itself():
    origin = gated(answer())
    async with fleet() as (one, two):
        for node in (one, two):
            node.board.sick = True
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two) for _ in range(3)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*asks)

    assert origin.calls == 2


async def test_a_leader_that_dies_is_succeeded_once():
    origin = gated(answer())
    async with fleet(3, lease_s=0.2) as (dead, *others):
        leading = asyncio.create_task(dead.ask(body(), origin))
        await settle()
        dead.board.sick = dead.board.deaf = True
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in others]
        await settle(0.5)
        calls = origin.calls
        origin.gate.set()
        await asyncio.gather(leading, *asks)

    assert calls == 2


async def test_a_flush_in_mid_flight_costs_at_most_a_call_for_each_process():
    origin = gated(answer())
    async with fleet(3, lease_s=0.2) as nodes:
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in nodes]
        await settle()
        nodes[0].board.shared.flush()
        await settle(0.6)
        origin.gate.set()
        seen = await asyncio.wait_for(asyncio.gather(*asks), 5)

    assert origin.calls <= 3
    assert {each.text for each in seen} == {"hi"}


async def test_a_lost_subscription_costs_at_most_a_call_for_each_process():
    origin = gated(answer())
    async with fleet(2) as (one, two):
        leading = asyncio.create_task(one.ask(body(), origin))
        await settle()
        following = asyncio.create_task(two.ask(body(), origin))
        await settle()
        two.board.sick = True
        two.board.queue.put_nowait(None)
        await settle(0.2)
        calls = origin.calls
        origin.gate.set()
        await asyncio.wait_for(asyncio.gather(leading, following), 5)

    assert calls == 2


async def test_a_missed_frame_is_read():
    origin = gated(answer("whole"))
    async with fleet(2, lease_s=0.3) as (one, two):
        leading = asyncio.create_task(one.ask(body(), origin))
        await settle()
        following = asyncio.create_task(two.ask(body(), origin))
        await settle()
        two.board.deaf = True
        origin.gate.set()
        await leading
        two.board.deaf = False
        seen = await asyncio.wait_for(following, 5)

    assert origin.calls == 1
    assert seen.text == "whole"


async def test_what_was_stored_since_the_look_is_looked_at_again():
    origin = Origin(answer("once"))
    async with fleet() as (one, two):
        claim = two.board.claim

        async def late(claimed):
            await one.ask(body(), origin)
            await one.cache._background.drain(1)
            return await claim(claimed)

        two.board.claim = late
        seen = await two.ask(body(), origin)

    assert origin.calls == 1
    assert seen.hit


async def test_a_reload_does_not_join_an_older_call_elsewhere():
    origin = gated(answer())
    async with fleet() as (one, two):
        older = asyncio.create_task(one.ask(body(), origin))
        await settle()
        newer = asyncio.create_task(two.ask(body(), origin, (b"cache-control", b"no-cache")))
        await settle()
        calls = origin.calls
        origin.gate.set()
        await asyncio.gather(older, newer)

    assert calls == 2


async def test_what_the_origin_forbids_to_share_releases_the_others():
    forbidden = Response(200, (JSON, (b"cache-control", b"no-store")), answer())
    origin = gated(forbidden)
    async with fleet() as (one, two):
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        origin.gate.set()
        await asyncio.wait_for(asyncio.gather(*asks), 5)

    assert origin.calls == 2


@pytest.mark.parametrize("number", [2, 4])
async def test_few_commands_are_spent(number):
    origin = gated(answer())
    async with fleet(number) as nodes:
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in nodes for _ in range(10)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*asks)
        await settle()
        leader, *_ = [command[0] for command in nodes[0].board.shared.commands]
        spent = [command for command in nodes[0].board.shared.commands if command[0] != leader]

    assert len(spent) <= 2 * (number - 1)


async def test_nobody_follows_so_nothing_is_told():
    origin = Origin(answer())
    async with fleet() as (one, _):
        await one.ask(body(), origin)
        await settle()
        words = [word for _, word in one.board.shared.commands]

    assert words == ["claim", "end"]


async def test_callers_of_streams_take_over_first_and_those_of_json_follow_them():
    gate = asyncio.Event()
    origin = gated(OSError("reset"), Stream(events("second"), gate=gate))
    async with fleet(3) as (one, two, three):
        leading = asyncio.create_task(one.ask(body(stream=True), origin))
        await settle()
        json_caller = asyncio.create_task(two.ask(body(), origin))
        stream_caller = asyncio.create_task(three.ask(body(stream=True), origin))
        await settle()
        origin.gate.set()
        await settle()
        gate.set()
        seen = await asyncio.gather(leading, json_caller, stream_caller, return_exceptions=True)

    assert origin.calls == 2
    assert [each.text for each in seen[1:]] == ["second", "second"]


async def test_a_call_without_a_lease_is_ordered_by_its_beginning():
    origin = gated(answer())
    async with fleet() as (one, _):
        one.board.sick = True
        asking = asyncio.create_task(one.ask(body(), origin))
        await settle(0.1)
        origin.gate.set()
        await asking
        await one.cache._background.drain(1)
        (sealed,) = one.board.shared.entries.values()

    assert -2_000_000 < sealed.fence < -90_000


RETRY = (b"x-stainless-retry-count", b"1")


async def test_a_retry_finds_its_first_try_in_another_process():
    origin = gated(answer("sampled"))
    sampled = body(temperature=1)
    async with fleet() as (one, two):
        first = asyncio.create_task(one.ask(sampled, origin))
        await settle()
        retry = asyncio.create_task(two.ask(sampled, origin, RETRY))
        await settle()
        calls = origin.calls
        origin.gate.set()
        seen = await asyncio.gather(first, retry)

    assert calls == 1
    assert [each.text for each in seen] == ["sampled", "sampled"]
    assert "collapsed" in seen[1].cache_status


@pytest.mark.parametrize(("key", "headers"), [(OTHER_KEY, (RETRY,)), (KEY, ())], ids=["other", "no retry"])
async def test_a_sample_elsewhere_is_for_retries_of_its_own_credential_alone(key, headers):
    origin = gated(answer())
    async with fleet() as (one, two):
        asks = [
            asyncio.create_task(one.ask(body(temperature=1), origin)),
            asyncio.create_task(two.ask(body(temperature=1), origin, *headers, key=key)),
        ]
        await settle()
        calls = origin.calls
        origin.gate.set()
        await asyncio.gather(*asks)

    assert calls == 2


async def test_a_sample_does_not_wait_for_its_claim():
    origin = Origin(answer())
    async with fleet() as (one, _):
        one.board.claim = asyncio.Event().wait
        seen = await asyncio.wait_for(one.ask(body(temperature=1), origin), 1)

    assert seen.status == 200


async def test_a_process_does_not_follow_itself_from_afar():
    """A caller that may not join its own process' flight asks alone, and does not wait for it on Redis."""
    gate = asyncio.Event()
    refusal = Response(400, (JSON,), b'{"error":{"message":"stream_options is not supported"}}')
    origin = Origin(refusal, Stream(events("a b", usage=False), gate=gate), answer("own"))
    async with fleet(1) as (one,):
        streaming = asyncio.create_task(one.ask(body(stream=True), origin))
        await settle()
        own = await asyncio.wait_for(one.ask(body(), origin), 1)
        gate.set()
        await streaming
        followed = one.counted("fleet", "followed")

    assert own.text == "own"
    assert followed == 0
