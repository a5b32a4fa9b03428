"""Batches of embeddings: what is stored is kept, one smaller call asks for the rest."""

import asyncio
import gzip
import json

import pytest

from tests.core.embeddings_kit import (
    answer,
    body,
    inputs_of,
    reply,
    unpacked,
    vector,
    vectors_of,
)
from tests.scenarios.world import JSON, OTHER_KEY, Origin, world
from tiered_cache import MemoryConfig, OriginUnreachableError, Response
from tiered_cache.testing import ChaosTier
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

PICO = 10**12
NO_CACHE = (b"cache-control", b"no-cache")


def origin(**fields) -> Origin:
    """Answers whatever is asked, in the form that is asked for."""
    return Origin(lambda request: Response(200, (JSON,), reply(request.body, **fields)))


async def embed(w, inputs, at, *headers, fields=None, **where):
    return await w.ask(body(inputs, **(fields or {})), at, *headers, endpoint="embeddings", **where)


def asked(at: Origin) -> list[list]:
    """The inputs of each call that the origin got."""
    return [inputs_of(request.body) for request in at.requests]


def usage(seen) -> dict:
    return seen.json["usage"]


async def test_hits_are_kept_and_one_smaller_call_asks_for_the_rest():
    """SEMANTICS 2: per element; misses in their order, indices rebuilt."""
    at = origin()
    async with world() as w:
        await embed(w, ["a", "c"], at)
        seen = await embed(w, ["a", "b", "c", "d"], at)
        again = await embed(w, ["d", "c", "b", "a"], at)

    assert asked(at) == [["a", "c"], ["b", "d"]]
    assert vectors_of(seen.body) == [vector(text) for text in "abcd"]
    assert vectors_of(again.body) == [vector(text) for text in "dcba"]
    assert "fwd=partial; fwd-status=200" in seen.cache_status
    assert seen.cache_status.endswith("; stored; detail=L1/partial:2/4")
    assert again.cache_status.startswith("tiered-cache; hit; ttl=")
    assert again.cache_status.endswith("detail=L1")


async def test_a_first_batch_gets_the_origins_own_bytes():
    at = origin()
    async with world() as w:
        seen = await embed(w, ["a", "b"], at)

    assert seen.body == reply(at.requests[0].body)
    assert at.requests[0].body == body(["a", "b"])
    assert "fwd=uri-miss; fwd-status=200" in seen.cache_status
    assert "; stored" in seen.cache_status


async def test_single_calls_and_batches_share_their_elements():
    at = origin()
    async with world() as w:
        await embed(w, "a", at)
        partly = await embed(w, ["a", "b"], at)
        whole = await embed(w, "b", at)

    assert asked(at) == [["a"], ["b"]]
    assert vectors_of(partly.body) == [vector("a"), vector("b")]
    assert whole.hit
    assert vectors_of(whole.body) == [vector("b")]


async def test_token_arrays_are_elements_and_never_texts():
    at = origin()
    async with world() as w:
        await embed(w, [[1, 2], [3]], at)
        seen = await embed(w, [[3], [4]], at)
        texts = await embed(w, ["3", "4"], at)

    assert asked(at) == [[[1, 2], [3]], [[4]], ["3", "4"]]
    assert vectors_of(seen.body) == [vector([3]), vector([4])]
    assert vectors_of(texts.body) == [vector("3"), vector("4")]


async def test_duplicates_are_asked_once():
    at = origin()
    async with world() as w:
        first = await embed(w, ["a", "a", "b", "a"], at)
        seen = await embed(w, ["c", "a", "c"], at)

    assert asked(at) == [["a", "b"], ["c"]]
    assert vectors_of(first.body) == [vector(text) for text in "aaba"]
    assert vectors_of(seen.body) == [vector(text) for text in "cac"]
    assert "fwd=uri-miss" in first.cache_status
    assert seen.cache_status.endswith("detail=L1/partial:1/3")


@pytest.mark.parametrize("first", ["float", "base64"])
@pytest.mark.parametrize("second", ["float", "base64"])
async def test_each_caller_gets_its_own_form_of_vectors(first, second):
    at = origin()
    async with world() as w:
        await embed(w, ["a"], at, fields={"encoding_format": first})
        seen = await embed(w, ["a", "b"], at, fields={"encoding_format": second})
        again = await embed(w, ["b", "a"], at, fields={"encoding_format": first})

    kinds = {"float": list, "base64": str}
    assert asked(at) == [["a"], ["b"]]
    for told, kind, texts in ((seen, kinds[second], "ab"), (again, kinds[first], "ba")):
        embeddings = [result["embedding"] for result in told.json["data"]]
        assert {type(embedding) for embedding in embeddings} == {kind}
        assert [unpacked(embedding) for embedding in embeddings] == [vector(text) for text in texts]


@pytest.mark.parametrize(
    "field", [{"late_chunking": True}, {"models": ["a/b"]}, {"requesty": {"tags": []}}, {"truncate": "END"}]
)
async def test_beside_any_other_field_the_whole_batch_is_the_key(field):
    at = origin(model="b")
    async with world() as w:
        await embed(w, ["a", "b"], at, fields=field)
        seen = await embed(w, ["a", "c"], at, fields=field)
        again = await embed(w, ["a", "b"], at, fields=field)

    assert asked(at) == [["a", "b"], ["a", "c"]]
    assert "fwd=uri-miss" in seen.cache_status
    assert again.hit


async def test_mixed_inputs_are_one_call():
    at = origin()
    async with world() as w:
        await embed(w, ["a", [1]], at)
        await embed(w, ["a", [2]], at)

    assert len(asked(at)) == 2


async def test_usage_is_exact_for_the_same_batch_and_estimated_for_a_mixture():
    """SEMANTICS 2: apportioned by UTF-8 bytes, largest remainder."""
    at = origin(tokens=10, cost="0.000010")
    async with world() as w:
        first = await embed(w, ["a", "é", "ccc"], at)
        same = await embed(w, ["a", "é", "ccc"], at)
        single = await embed(w, "é", at)
        some = await embed(w, ["a", "ccc"], at)

    assert b"x-tiered-cache-usage" not in first.headers
    assert usage(same) == {"prompt_tokens": 10, "total_tokens": 10, "cost": 0}
    assert b"x-tiered-cache-usage" not in same.headers
    assert same.headers[b"x-tiered-cache-saved-usd"] == b"0.00001"
    assert usage(single) == {"prompt_tokens": 3, "total_tokens": 3, "cost": 0}
    assert single.headers[b"x-tiered-cache-usage"].startswith(b'estimated;batch="')
    assert usage(some) == {"prompt_tokens": 7, "total_tokens": 7, "cost": 0}
    assert some.headers[b"x-tiered-cache-usage"] == b"estimated"
    assert some.headers[b"x-tiered-cache-saved-usd"] == b"0.000006666667"


async def test_a_partial_hit_costs_what_its_call_cost_and_the_rest_is_saved():
    at = origin(cost="0.00002")
    async with world() as w:
        await embed(w, ["a", "b"], at)
        seen = await embed(w, ["a", "b", "c"], at)
        ledger = w.cache.ledger
        rows = {(row.tier, row.kind): row for row in ledger.rows()}

    assert usage(seen) == {"prompt_tokens": 12, "total_tokens": 12, "cost": 0.00002}
    assert seen.headers[b"x-tiered-cache-saved-usd"] == b"0.00002"
    assert seen.headers[b"x-tiered-cache-usage"] == b"estimated"
    assert b"etag" not in seen.headers
    assert ledger.spent_picousd == 40_000_000
    assert (rows["L1", "partial"].requests, rows["L1", "partial"].cost_picousd) == (1, 20_000_000)
    assert rows["L1", "partial"].prompt_tokens == 8
    assert rows["L1", "partial"].saves
    assert (rows["origin", "miss"].requests, rows["origin", "miss"].cost_picousd) == (2, 40_000_000)


async def test_an_answer_without_usage_or_cost_stays_without():
    def bare(request):
        whole = json.loads(reply(request.body))
        del whole["usage"]
        return Response(200, (JSON,), json.dumps(whole).encode())

    async with world() as w:
        await embed(w, ["a", "b"], Origin(bare))
        assert "usage" not in (await embed(w, ["a", "b"], Origin(bare))).json
        assert "usage" not in (await embed(w, ["b", "c"], Origin(bare))).json
        mixed = await embed(w, ["c", "d"], origin())
        assert mixed.json["usage"] == {"cost": 0.00002}


async def test_identical_batches_share_one_call():
    at = origin()
    at.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.create_task(embed(w, ["a", "b"], at)) for _ in range(5)]
        await asyncio.sleep(0.01)
        at.gate.set()
        seen = await asyncio.gather(*calls)

    assert at.calls == 1
    assert sum("; collapsed" in one.cache_status for one in seen) == 4
    assert all(vectors_of(one.body) == [vector("a"), vector("b")] for one in seen)


async def test_identical_partial_hits_share_their_smaller_call_and_one_pays():
    at = origin()
    async with world() as w:
        await embed(w, ["a"], at)
        at.gate = asyncio.Event()
        fields = [{}, {"encoding_format": "base64"}, {"user": "u"}]
        calls = [asyncio.create_task(embed(w, ["a", "b"], at, fields=each)) for each in fields]
        await asyncio.sleep(0.01)
        at.gate.set()
        seen = await asyncio.gather(*calls)
        rows = {(row.tier, row.kind): row for row in w.cache.ledger.rows()}

    assert asked(at) == [["a"], ["b"]]
    assert sorted(usage(one)["cost"] for one in seen) == [0, 0, 0.00002]
    assert sum("; collapsed" in one.cache_status for one in seen) == 2
    assert all(vectors_of(one.body) == [vector("a"), vector("b")] for one in seen)
    assert rows["L1", "partial"].requests == 3
    assert rows["origin", "collapsed"].requests == 2


async def test_a_batch_and_a_single_call_share_the_flight_of_one_missing_element():
    at = origin()
    async with world() as w:
        await embed(w, ["a"], at)
        at.gate = asyncio.Event()
        calls = [asyncio.create_task(embed(w, given, at)) for given in ("b", ["a", "b"])]
        await asyncio.sleep(0.01)
        at.gate.set()
        single, batch = await asyncio.gather(*calls)

    assert asked(at) == [["a"], ["b"]]
    assert vectors_of(single.body) == [vector("b")]
    assert vectors_of(batch.body) == [vector("a"), vector("b")]


async def test_the_smaller_calls_error_is_given_as_it_is_and_nothing_is_stored():
    refused = Response(429, (JSON, (b"retry-after", b"7")), b'{"error":{"message":"slow down"}}')
    async with world() as w:
        await embed(w, ["a"], origin())
        seen = await embed(w, ["a", "b"], Origin(refused))
        later = await embed(w, ["a", "b"], origin())

    assert (seen.status, seen.body) == (429, refused.body)
    assert seen.headers[b"retry-after"] == b"7"
    assert "fwd=partial; fwd-status=429; detail=partial:1/2" in seen.cache_status
    assert later.cache_status.endswith("detail=L1/partial:1/2")


async def test_an_origin_that_cannot_be_reached_is_the_callers_error():
    async with world() as w:
        await embed(w, ["a"], origin())
        with pytest.raises(OriginUnreachableError):
            await embed(w, ["a", "b"], Origin(OriginUnreachableError("gone")))


@pytest.mark.parametrize("failure", [Response(503, (JSON,), b"{}"), OriginUnreachableError("gone")])
async def test_stale_elements_stand_in_for_an_origin_that_fails(failure):
    """SEMANTICS 3: stale-if-error 24 h for embeddings."""
    async with world() as w:
        await embed(w, ["a", "b"], origin())
        w.clock.advance(30 * 86_400 + 5)
        await embed(w, ["b"], origin())
        seen = await embed(w, ["a", "b"], Origin(failure))
        with pytest.raises(OriginUnreachableError):
            await embed(w, ["a", "c"], Origin(OriginUnreachableError("gone")))

    assert vectors_of(seen.body) == [vector("a"), vector("b")]
    assert seen.cache_status.startswith("tiered-cache; fwd=stale; ")
    assert seen.cache_status.endswith("detail=L1/stale-if-error")


BAD = [
    answer(["x", "y", "z"]),
    b'{"error":{"message":"no"}}',
    b"no json",
    answer(["x"]).replace(b'"index": 0', b'"index": 1'),
]


@pytest.mark.parametrize("bad", BAD)
async def test_an_answer_that_cannot_be_taken_apart_makes_the_whole_batch_be_asked(bad):
    at = Origin(answer(["a"]), bad, lambda request: Response(200, (JSON,), reply(request.body)))
    async with world() as w:
        await embed(w, ["a"], at)
        seen = await embed(w, ["a", "b"], at)

    assert asked(at) == [["a"], ["b"], ["a", "b"]]
    assert vectors_of(seen.body) == [vector("a"), vector("b")]


async def test_vectors_of_two_models_never_stand_in_one_answer():
    def by(model):
        return origin(model=model)

    async with world() as w:
        await embed(w, ["a", "c"], by("m-1"))
        await embed(w, ["b"], by("m-2"))
        last = by("m-2")
        partly = await embed(w, ["a", "d"], last)
        stored = await embed(w, ["b", "c"], last)
        unmet = await embed(w, ["a", "e"], last, (b"cache-control", b"only-if-cached"))
        again = await embed(w, ["b", "c"], last)

    assert asked(last) == [["d"], ["a", "d"], ["b", "c"]]
    assert (partly.json["model"], stored.json["model"]) == ("m-2", "m-2")
    assert unmet.status == 504
    assert again.hit


async def test_what_only_one_caller_may_have_is_merged_and_not_stored():
    lines = (JSON, (b"cache-control", b"no-store"))
    private = Origin(lambda request: Response(200, lines, reply(request.body)))
    async with world() as w:
        await embed(w, ["a"], origin())
        seen = await embed(w, ["a", "b"], private)
        await embed(w, ["a", "b"], private)

    assert asked(private) == [["b"], ["b"]]
    assert vectors_of(seen.body) == [vector("a"), vector("b")]
    assert "stored" not in seen.cache_status


async def test_no_cache_asks_for_the_whole_batch_and_replaces_every_element():
    at = origin(model="new")
    async with world() as w:
        await embed(w, ["a", "b"], origin(model="old"))
        seen = await embed(w, ["a", "b", "a"], at, NO_CACHE)
        single = await embed(w, "b", at)

    assert asked(at) == [["a", "b", "a"]]
    assert "fwd=request" in seen.cache_status
    assert single.json["model"] == "new"


async def test_an_older_flight_does_not_overwrite_what_a_reload_stored():
    gate = asyncio.Event()

    async def slow(request):
        await gate.wait()
        return Response(200, (JSON,), reply(request.body, model="old"))

    async with world() as w:
        first = asyncio.create_task(embed(w, ["a", "x"], slow))
        await asyncio.sleep(0.01)
        await embed(w, ["a", "b"], origin(model="new"), NO_CACHE)
        gate.set()
        await first
        kept = await embed(w, "a", origin())
        other = await embed(w, "x", origin())

    assert (kept.json["model"], other.json["model"]) == ("new", "old")


async def test_no_store_is_forwarded_whole():
    at = origin()
    async with world() as w:
        await embed(w, ["a", "b"], at)
        seen = await embed(w, ["a", "b"], at, (b"cache-control", b"no-store"))

    assert asked(at) == [["a", "b"], ["a", "b"]]
    assert "detail=no-store" in seen.cache_status


async def test_only_if_cached():
    only = (b"cache-control", b"only-if-cached")
    at = origin()
    async with world() as w:
        await embed(w, ["a", "b"], at)
        assert (await embed(w, ["b", "a"], at, only)).status == 200
        assert (await embed(w, ["b", "c"], at, only)).status == 504

    assert at.calls == 1


async def test_a_tag_of_a_whole_hit_gets_a_304():
    at = origin()
    async with world() as w:
        await embed(w, ["a", "b"], at)
        hit = await embed(w, ["a", "b"], at)
        tag = hit.headers[b"etag"]
        same = await embed(w, ["a", "b"], at, (b"if-none-match", tag))
        other = await embed(w, ["a", "b"], at, (b"if-none-match", tag), fields={"encoding_format": "base64"})

    assert (same.status, same.body) == (304, b"")
    assert other.status == 200


async def test_max_age_counts_for_each_element():
    at = origin()
    async with world() as w:
        await embed(w, ["a"], at)
        w.clock.advance(100)
        await embed(w, ["b"], at)
        seen = await embed(w, ["a", "b"], at, (b"cache-control", b"max-age=50"))
        hit = await embed(w, ["b", "a"], at)

    assert asked(at) == [["a"], ["b"], ["a"]]
    assert seen.cache_status.endswith("detail=L1/partial:1/2")
    assert hit.headers[b"age"] == b"0"


async def test_nothing_is_shared_across_credentials():
    at = origin()
    async with world() as w:
        await embed(w, ["a", "b"], at)
        seen = await embed(w, ["a", "b"], at, key=OTHER_KEY)

    assert at.calls == 2
    assert not seen.hit


async def test_peek_answers_a_batch_that_hits_entirely_without_a_task():
    at = origin()
    async with world() as w:
        await embed(w, ["a"], at)
        request = w.request(body(["b", "a"]), endpoint="embeddings")
        assert w.cache.peek(request) is None
        await embed(w, ["b"], at)
        before = asyncio.all_tasks()
        response = w.cache.peek(request)
        assert asyncio.all_tasks() == before

    assert response is not None
    assert vectors_of(response.body) == [vector("b"), vector("a")]


async def test_elements_are_found_below_memory_and_promoted():
    kept = []

    def make(clock):
        kept.append(ChaosTier(MemoryTier(None, clock)))
        kept[0].name = "L2"
        return GuardedTier(kept[0], read_deadline_s=1.0, write_deadline_s=1.0, clock=clock)

    at = origin()
    texts = [f"text {number}" for number in range(70)]
    async with world(lower=(make,)) as w:
        await embed(w, texts, at)
        await asyncio.sleep(0.05)
        await w.cache.memory.clear()
        seen = await embed(w, [*texts, "new"], at)
        hit = await embed(w, texts, at)
        await asyncio.sleep(0.05)
        await w.cache.memory.clear()
        from_below = await embed(w, texts, at)

    assert from_below.cache_status.endswith("detail=L2")
    assert vectors_of(from_below.body) == vectors_of(hit.body)
    assert asked(at) == [texts, ["new"]]
    assert seen.cache_status.endswith("detail=L2/partial:70/71")
    assert vectors_of(seen.body) == [vector(text) for text in [*texts, "new"]]
    assert hit.cache_status.endswith("detail=L1")


async def test_a_packed_body_is_answered_from_elements_and_never_split():
    at = origin()

    async def unpacking(request):
        assert request.plain_body is not None
        at.requests.append(request)
        return Response(200, (JSON,), reply(request.plain_body))

    def packed(raw):
        return gzip.compress(raw), {"endpoint": "embeddings", "plain_body": raw}

    async with world() as w:
        await embed(w, ["a", "b"], at)
        raw, where = packed(body(["b", "a"]))
        hit = await w.ask(raw, unpacking, **where)
        raw, where = packed(body(["a", "c"]))
        seen = await w.ask(raw, unpacking, **where)
        single = await embed(w, "c", at)

    assert hit.hit
    assert at.requests[-1].body == raw
    assert vectors_of(seen.body) == [vector("a"), vector("c")]
    assert single.hit


async def test_a_large_batch_is_stored_although_its_answer_outweighs_one_entry():
    at = origin()
    texts = [f"text {number}" for number in range(40)]
    async with world(max_entry_bytes=2_000) as w:
        await embed(w, texts, at)
        hit = await embed(w, texts, at)

    assert len(reply(body(texts))) > 4_000
    assert hit.hit


async def test_a_body_that_is_edited_keeps_its_other_bytes():
    at = origin()
    sent = b'{ "input" : [ "a" , "b\\u00e9" ],  "user":"u", "model":"m" }'
    async with world() as w:
        await w.ask(b'{"model":"m","input":["a"]}', at, endpoint="embeddings")
        await w.ask(sent, at, endpoint="embeddings")

    assert at.requests[1].body == b'{ "input" : ["b\\u00e9"],  "user":"u", "model":"m" }'


async def test_dict_calls_are_split_too():
    asked_for = []

    async def fetch(sent):
        asked_for.append(sent["input"])
        return json.loads(reply(json.dumps(sent).encode()))

    async with world() as w:
        scope = w.cache.scope(tenant="acme")
        for inputs in (["a"], ["a", "b"], ["b", "a"]):
            call = {"model": "m", "input": inputs}
            told = await w.cache.call("embeddings", call, fetch, scope=scope)
            assert [result["embedding"] for result in told.value["data"]] == [vector(text) for text in inputs]
            assert call == {"model": "m", "input": inputs}

    assert asked_for == [["a"], ["b"]]


async def test_with_the_fast_hash_constant_nobody_gets_anothers_vector(monkeypatch):
    """SEMANTICS 1: whatever a key selects is compared with a second, keyed digest."""
    monkeypatch.setattr("tiered_cache.core.keys.xxh3_128_digest", lambda *_: bytes(16))
    at = origin()
    async with world() as w:
        await embed(w, ["a", "b"], at)
        seen = await embed(w, ["b", "c", "a"], at)

    assert vectors_of(seen.body) == [vector(text) for text in "bca"]


async def test_a_cache_that_keeps_nothing_asks_each_time():
    at = origin()
    async with world(memory=MemoryConfig(capacity_bytes=0)) as w:
        for _ in range(2):
            assert vectors_of((await embed(w, ["a", "b"], at)).body) == [vector("a"), vector("b")]

    assert at.calls == 2


async def test_an_element_stored_while_its_flight_was_followed_is_a_hit():
    """The follower is released, starts anew, and finds what a third caller has stored meanwhile."""
    gate = asyncio.Event()
    lines = (JSON, (b"cache-control", b"no-store"))

    async def private(request):
        await gate.wait()
        return Response(200, lines, reply(request.body))

    at = origin()
    async with world() as w:
        await embed(w, ["a"], at)
        leader = asyncio.create_task(embed(w, "b", private))
        await asyncio.sleep(0.01)
        batch = asyncio.create_task(embed(w, ["a", "b"], at))
        await asyncio.sleep(0.01)
        await embed(w, "b", at, NO_CACHE)
        gate.set()
        await leader
        seen = await batch

    assert asked(at) == [["a"], ["b"]]
    assert vectors_of(seen.body) == [vector("a"), vector("b")]
    assert seen.hit


async def test_entries_below_memory_that_are_too_old_are_asked_for():
    kept = []

    def make(clock):
        kept.append(MemoryTier(None, clock))
        return GuardedTier(kept[0], read_deadline_s=1.0, write_deadline_s=1.0, clock=clock)

    at = origin()
    async with world(lower=(make,)) as w:
        await embed(w, ["a", "b"], at)
        await asyncio.sleep(0.05)
        w.clock.advance(100)
        await w.cache.memory.clear()
        seen = await embed(w, ["a", "b"], at, (b"cache-control", b"max-age=50"))

    assert asked(at) == [["a", "b"], ["a", "b"]]
    assert "fwd=uri-miss" in seen.cache_status


async def test_a_packed_body_of_unlike_models_is_asked_for_whole():
    at = origin(model="m-3")
    raw = body(["a", "b"])

    async def unpacking(request):
        return Response(200, (JSON,), reply(request.plain_body, model="m-3"))

    async with world() as w:
        await embed(w, ["a"], origin(model="m-1"))
        await embed(w, ["b"], origin(model="m-2"))
        seen = await w.ask(gzip.compress(raw), unpacking, endpoint="embeddings", plain_body=raw)
        hit = await embed(w, ["b", "a"], at)

    assert vectors_of(seen.body) == [vector("a"), vector("b")]
    assert hit.hit
    assert hit.json["model"] == "m-3"
