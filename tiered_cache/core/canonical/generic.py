"""The generic dialect, of paths that the operator names: all of a body is in its canonical form."""

from typing import Any, Final

from tiered_cache.core.canonical.flat import names_urls
from tiered_cache.core.canonical.form import Canonical, KeyOptions
from tiered_cache.core.canonical.json_form import settle_member, write_canonical
from tiered_cache.core.canonical.members import Dialect, read_body
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.vocabulary import Call, Determinism

_DEPTH: Final = 2
"""Level of a member's own value; the body is on level 1."""


def generic_dialect(endpoint: str) -> Dialect:
    """The dialect of this path: an object of any members, none of which is left out."""

    def canonical(raw: bytes, options: KeyOptions, _seen_tools: ToolMemo | None) -> Canonical:
        body = read_body(raw, options)
        for name in body:
            settle_member(body, name, _DEPTH, exact=False)
        return Canonical(_call(endpoint, body), write_canonical(body), ())

    return canonical


def _call(endpoint: str, body: dict[str, Any]) -> Call:
    """The facts: by naming the path the operator said that equal calls have equal answers."""
    model = body.get("model")
    return Call(
        endpoint=endpoint,
        model=model if isinstance(model, str) else "",
        determinism=Determinism.DETERMINISTIC,
        remote_urls=names_urls(body),
        bypass="stream" if body.get("stream") is True else None,
    )
