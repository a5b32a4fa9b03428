"""What any dialect's answer says, as far as content class and storability ask."""

from msgspec import Struct

from tiered_cache.core.vocabulary import Usage


class Choice(Struct, frozen=True):
    """One of the answers that were asked for.

    Attributes:
        index: its place; None where the origin gave none.
        finish_reason: why the origin stopped; None when it did not say.
        text: the content, None when there is none or it is no text.
        arguments: of each function call, the JSON text; None where that is missing or no text.
        calls: how many tool calls there are, functions and others.
        refused: the model declined.
        other: there is content that is no text (audio, parts).
    """

    index: int | None
    finish_reason: str | None
    text: str | None = None
    arguments: tuple[str | None, ...] = ()
    calls: int = 0
    refused: bool = False
    other: bool = False


class Reading(Struct, frozen=True):
    """One whole answer.

    Attributes:
        model: that the answer names, empty when none.
        choices: in the order of the answer.
        usage: what it cost.
        has_usage: token counts were given.
        cites: it names sources that the origin looked up.
        expires_at_s: earliest instant at which something in it ends, unix time; None where none is stated.
        result_urls: it holds something that ends without saying when, such as a URL of what was made.
        fits: the other form can say all of it.
    """

    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    has_usage: bool
    cites: bool
    expires_at_s: float | None
    result_urls: bool
    fits: bool
