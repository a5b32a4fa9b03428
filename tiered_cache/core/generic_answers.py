"""Judges what an origin answered on a path that the operator named: any JSON that is no error, as it came."""

from msgspec.structs import replace

from tiered_cache.core.chat_reading import read_usage
from tiered_cache.core.flat_answers import answer_of, json_only, render_as_it_is
from tiered_cache.core.raw_json import NULL, UnreadableError, check, members_or_none
from tiered_cache.core.vocabulary import Answer, Call, Entry, Refusal, Shape


def _read(call: Call, body: bytes) -> Answer | Refusal:
    """Refused with `bad-json`, or with `error-body` where an object has an `error`."""
    try:
        check(body)
    except UnreadableError:
        return Refusal("bad-json")
    said = members_or_none(body)
    usage = read_usage(said.get("usage"))
    if said.get("error", NULL) != NULL:
        return Refusal("error-body", usage)
    # A list has no members; what ends in it is looked for all the same.
    return answer_of(call, body, said or {"": body}, usage)


def _judge_nothing(call: Call, answer: dict[str, bytes]) -> None:
    del call, answer


def _render(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    """None for a stream too: it may be of a dialect that a later version has."""
    return render_as_it_is(entry, shape, free) if entry.form == "json" else None


GENERIC_ANSWERS = replace(json_only(_judge_nothing, _render), read_json=_read)
"""The answers of every endpoint without a dialect of its own."""
