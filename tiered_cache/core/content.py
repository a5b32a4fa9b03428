"""Tells what kind of answer was given."""

from tiered_cache.core.reading import Reading
from tiered_cache.core.vocabulary import Call, ContentClass


def classify(call: Call, reading: Reading) -> ContentClass:
    """The content class; an answer with tool calls is one of them whatever else it says."""
    if any(choice.calls for choice in reading.choices):
        return ContentClass.TOOL_CALL
    return ContentClass.STRUCTURED if call.json_output else ContentClass.CHAT
