"""May this answer be stored? An allow-list: what is not known to be whole and good is not."""

import re

from tiered_cache.core.models import undated
from tiered_cache.core.raw_json import parses
from tiered_cache.core.reading import Choice, Reading
from tiered_cache.core.vocabulary import Call

FINISHED = frozenset({"stop", "tool_calls", "function_call"})
"""Finish reasons of an answer that ended by itself. Every other one, unknown ones included, is not stored."""

# Month and day, or year and month (`-0613`, `-2411`): a version of the same model, which is all that is asked
# here. Not a date for the lifetime table, where a number that only looks like one would keep an alias a week.
_SHORT_DATE = re.compile(
    r"[-@](?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])|2[0-9](?:0[1-9]|1[0-2]))\Z", re.ASCII
)


def why_not(call: Call, reading: Reading) -> str | None:
    """The reason word why this answer is not stored, or None.

    `choices`: not one answer for every index asked for; `refusal`, `finish-reason`, `empty`; `bad-json`: JSON
    was asked for and does not parse; `bad-arguments`: those of a tool call do not.
    """
    indexes = [choice.index for choice in reading.choices]
    if len(indexes) != call.choices or set(indexes) != set(range(call.choices)):
        return "choices"
    words = (_judge(call, choice) for choice in reading.choices)
    return next((word for word in words if word is not None), None)


def _judge(call: Call, choice: Choice) -> str | None:
    if choice.refused:
        return "refusal"
    if choice.finish_reason not in FINISHED:
        return "finish-reason"
    if not (choice.text or choice.calls or choice.other):
        return "empty"
    if call.json_output and not _is_json(choice):
        return "bad-json"
    if not all(arguments is not None and parses(arguments) for arguments in choice.arguments):
        return "bad-arguments"
    return None


def _is_json(choice: Choice) -> bool:
    """A tool call may take the place of the JSON that was asked for."""
    if not choice.text and not choice.other:
        return choice.calls > 0
    return choice.text is not None and parses(choice.text)


def is_short_lived(call: Call, reading: Reading, *, locked: bool) -> bool:
    """Whether a fallback answered instead of the first model, which may be back in a short while."""
    if not call.fallback_models:
        return False
    # A locked stream may have named more than one model.
    return locked or not is_first(reading.model, call.fallback_models)


def is_first(model: str, models: tuple[str, ...]) -> bool:
    """Whether `model`, as an answer names it, is the first of the models asked for; in doubt it is not.

    A date that the first one lacks is allowed, and so is a missing provider as long as no other model of the
    list is called the same without its provider.
    """
    first = models[0]
    others = [other for other in models if other != first]
    names = {model, undated(model), _SHORT_DATE.sub("", model)}
    if not model or model in others:
        return False
    if first in names:
        return True
    return "/" not in model and _bare(first) in names and not any(_bare(other) in names for other in others)


def _bare(model: str) -> str:
    """Without provider and region."""
    return model.partition("/")[2].partition("@")[0] if "/" in model else model.partition("@")[0]
