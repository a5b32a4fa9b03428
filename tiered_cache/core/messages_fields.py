"""How the events of a messages stream become one answer, and back: the assembly table, as data.

Source: Anthropic API reference, Streaming messages, and the accumulator of Anthropic's own SDK.
"""

from enum import Enum
from typing import Final

from msgspec import Struct


class Rule(Enum):
    """What becomes of the values of one kind of delta in the order of their coming."""

    JOIN = "strings, concatenated behind the block's own"
    LAST = "the last string"
    APPEND = "values, appended to the block's own list"
    PARSE = "strings, concatenated to the JSON text of the value; none at all leaves the block's own"


class Delta(Struct, frozen=True):
    """One row.

    Attributes:
        kind: type of the delta.
        blocks: types of the blocks in which it may stand.
        name: the delta's member with the value.
        target: the block's member that it fills.
        rule: how its values combine.
    """

    kind: str
    blocks: frozenset[str]
    name: str
    target: str
    rule: Rule


DELTAS: Final = (
    Delta("text_delta", frozenset({"text"}), "text", "text", Rule.JOIN),
    Delta("citations_delta", frozenset({"text"}), "citation", "citations", Rule.APPEND),
    Delta("thinking_delta", frozenset({"thinking"}), "thinking", "thinking", Rule.JOIN),
    Delta("signature_delta", frozenset({"thinking"}), "signature", "signature", Rule.LAST),
    Delta(
        "input_json_delta",
        frozenset({"tool_use", "server_tool_use"}),
        "partial_json",
        "input",
        Rule.PARSE,
    ),
)
"""Blocks of other types, such as results of server tools, are whole at their start."""

EVENTS: Final = {
    "message_start": frozenset({"type", "message"}),
    "content_block_start": frozenset({"type", "index", "content_block"}),
    "content_block_delta": frozenset({"type", "index", "delta"}),
    "content_block_stop": frozenset({"type", "index"}),
    "message_delta": frozenset({"type", "delta", "usage", "context_management"}),
    "message_stop": frozenset({"type"}),
}
"""Members of each event. An event, delta or member that is in no table locks the answer to its form."""

ENDING: Final = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Members of the answer that the last `message_delta` states."""

CUMULATIVE: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "server_tool_use",
    "output_tokens_details",
    "cost",
)
"""Members of `usage` that the last `message_delta` states, whatever the start said."""

AT_END_ONLY: Final = frozenset({"server_tool_use", "output_tokens_details", "cost"})
"""Those that nobody knows when the message starts; of the output tokens it says 0."""

CLIENT_CALL: Final = "tool_use"
"""The block type by which the model asks the caller to run a tool."""
