"""Judges what an origin answered to rerank and moderations calls: JSON alone, kept as it came."""

from math import isfinite

import msgspec

from tiered_cache.core.flat_answers import indexes, json_only
from tiered_cache.core.raw_json import NULL, UnreadableError, is_object, objects
from tiered_cache.core.vocabulary import Call

_NUMBER = msgspec.json.Decoder(float)
_BOOLEANS = frozenset({b"true", b"false"})


def _results(answer: dict[str, bytes], *names: str) -> list[dict[str, bytes]]:
    """The results under the first of these names that is there. Raises UnreadableError."""
    listed = next((answer[name] for name in names if name in answer), NULL)
    return objects(listed)


def _judge_ranking(call: Call, answer: dict[str, bytes]) -> str | None:
    """`schema`; `choices` (not as many results as asked for, or not each of another document)."""
    try:
        results = _results(answer, "results", "data")
    except UnreadableError:
        return "schema"
    if not all(_is_score(result.get("relevance_score")) for result in results):
        return "schema"
    ranked = indexes(results)
    if len(results) != call.choices or ranked is None or min(ranked) < 0:
        return "choices"
    return None


def _is_score(text: bytes | None) -> bool:
    try:
        return text is not None and isfinite(_NUMBER.decode(text))
    except (msgspec.DecodeError, UnicodeError):
        return False


def _judge_moderation(call: Call, answer: dict[str, bytes]) -> str | None:
    """`schema`; `choices` (not one result for every input)."""
    try:
        results = _results(answer, "results")
    except UnreadableError:
        return "schema"
    if not all(map(_is_verdict, results)):
        return "schema"
    return None if len(results) == call.choices else "choices"


def _is_verdict(result: dict[str, bytes]) -> bool:
    """With categories; Mistral's has no `flagged`."""
    return is_object(result.get("categories", NULL)) and result.get("flagged", b"false") in _BOOLEANS


RERANK_ANSWERS = json_only(_judge_ranking)
"""The answers of rerank."""

MODERATIONS_ANSWERS = json_only(_judge_moderation)
"""The answers of moderations."""
