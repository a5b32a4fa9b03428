"""System prompt and messages of a messages body: types checked, equal spellings made one, URLs noticed."""

from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member
from tiered_cache.core.canonical.messages_tables import DROPS, FETCHED_BLOCKS, QUIET_BLOCKS
from tiered_cache.core.canonical.walk import drop_cache_control, names_url, object_of

_SYSTEM = "system[]"
_CONTENT = "messages[].content[]"
_RESULT = "messages[].content[].content[]"
_MARK = ".cache_control"
_NOTES = {row.path.removesuffix(_MARK): row.note for row in DROPS if row.path.endswith(_MARK)}
_TEXT_BLOCK = {"type", "text"}
_CALLS = frozenset({"tool_use", "server_tool_use"})
_MESSAGE_DEPTH = 4
"""Level of a message's own values: body 1, messages 2, message 3."""


class BlockFacts:
    """What the walk over system prompt and messages found.

    Attributes:
        remote_urls: some block names something to fetch.
        dropped: notes of the table rows applied.
    """

    __slots__ = ("dropped", "remote_urls")

    def __init__(self) -> None:
        self.remote_urls = False
        self.dropped: tuple[str, ...] = ()


def settle_conversation(body: dict[str, Any]) -> BlockFacts:
    """Bring `system` and `messages` of a body into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    facts = BlockFacts()
    system: Any = body.get("system")
    if kind_of(system) is list:
        body["system"] = _settle_blocks(system, _SYSTEM, 4, facts)
    messages = body.get("messages")
    if messages is None:
        raise UnsafeBodyError("field-type")
    for message in messages:
        _settle_message(object_of(message), facts)
    return facts


def _settle_message(message: dict[str, Any], facts: BlockFacts) -> None:
    content: Any = message.get("content")
    if type(message.get("role")) is not str:
        raise UnsafeBodyError("field-type")
    if len(message) == 2 and type(content) is str:
        return  # a role and a text: nothing to settle, nothing to find
    if kind_of(content) is list:
        message["content"] = _settle_blocks(content, _CONTENT, 6, facts)
    elif type(content) is not str:
        raise UnsafeBodyError("field-type")
    for name, value in message.items():
        if name not in {"role", "content"}:
            facts.remote_urls = facts.remote_urls or names_url(value)
            settle_member(message, name, _MESSAGE_DEPTH, exact=False)


def _settle_blocks(blocks: list[Any], place: str, depth: int, facts: BlockFacts) -> Any:
    """The blocks in canonical form; a single text block becomes its text.

    Args:
        blocks: changed in place.
        place: path of one of them, as the tables have it.
        depth: level of a block's own values.
        facts: told what is found.
    """
    for block in blocks:
        _settle_block(object_of(block), place, depth, facts)
    if len(blocks) == 1 and blocks[0].keys() == _TEXT_BLOCK and blocks[0]["type"] == "text":
        return blocks[0]["text"]
    return blocks


def _settle_block(block: dict[str, Any], place: str, depth: int, facts: BlockFacts) -> None:
    kind = block.get("type")
    if type(kind) is not str or (kind == "text" and type(block.get("text")) is not str):
        raise UnsafeBodyError("field-type")
    if kind == "text" and len(block) == len(_TEXT_BLOCK):
        return
    # Asked for every block: whether its source has its type must not depend on the blocks before it.
    fetches = _fetches(block, kind)
    facts.remote_urls = facts.remote_urls or fetches
    if kind == "tool_result" and place == _CONTENT and type(block.get("content")) is list:
        block["content"] = _settle_blocks(block["content"], _RESULT, depth + 2, facts)
        _settle_others(block, "content", depth)
    else:
        if kind in _CALLS and kind_of(block.get("input")) is not dict:
            raise UnsafeBodyError("field-type")
        _settle_others(block, "", depth)
    # After all is settled: a number that is not keyed is not keyed in what is left out either.
    if drop_cache_control(block):
        facts.dropped += (_NOTES[place],)


def _settle_others(block: dict[str, Any], settled: str, depth: int) -> None:
    """Settle the members of a block but the `settled` one; numbers in a tool's input stay as they are."""
    for name, value in block.items():
        if type(value) is not str and name != settled:
            settle_member(block, name, depth, exact=name == "input")


def _fetches(block: dict[str, Any], kind: str) -> bool:
    """Whether the origin fetches something for this block, or may."""
    if kind in FETCHED_BLOCKS:
        source = object_of(block.get("source"))
        return source.get("type") == "url" or "url" in source or names_url(source.get("content"))
    return kind not in QUIET_BLOCKS and any(names_url(value) for value in block.values())
