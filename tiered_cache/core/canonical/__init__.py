"""Request body to canonical bytes: what makes two calls the same call."""

from tiered_cache.core.canonical.chat import canonical_chat
from tiered_cache.core.canonical.chat_facts import ENDPOINT as _CHAT
from tiered_cache.core.canonical.completions import ENDPOINT as _COMPLETIONS
from tiered_cache.core.canonical.completions import canonical_completions
from tiered_cache.core.canonical.edits import USAGE_ON_REQUEST, with_stream_requested, with_usage_requested
from tiered_cache.core.canonical.embeddings import ENDPOINT as _EMBEDDINGS
from tiered_cache.core.canonical.embeddings import canonical_embeddings
from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.generic import generic_dialect
from tiered_cache.core.canonical.images import ENDPOINT as _IMAGES
from tiered_cache.core.canonical.images import canonical_images
from tiered_cache.core.canonical.loose import looser
from tiered_cache.core.canonical.members import Dialect
from tiered_cache.core.canonical.messages import canonical_messages
from tiered_cache.core.canonical.messages_facts import ENDPOINT as _MESSAGES
from tiered_cache.core.canonical.moderations import ENDPOINT as _MODERATIONS
from tiered_cache.core.canonical.moderations import canonical_moderations
from tiered_cache.core.canonical.policies import PREFIX, names_policy, under_policies
from tiered_cache.core.canonical.rerank import ENDPOINT as _RERANK
from tiered_cache.core.canonical.rerank import canonical_rerank
from tiered_cache.core.canonical.responses import canonical_responses
from tiered_cache.core.canonical.responses_facts import ENDPOINT as _RESPONSES
from tiered_cache.core.canonical.speech import ENDPOINT as _SPEECH
from tiered_cache.core.canonical.speech import canonical_speech
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.canonical.transcriptions import ENDPOINT as _TRANSCRIPTIONS
from tiered_cache.core.canonical.transcriptions import canonical_transcriptions
from tiered_cache.core.vocabulary import Bypass

__all__ = [
    "CACHEABLE_ENDPOINTS",
    "FORM_ENDPOINTS",
    "JSON_ENDPOINTS",
    "USAGE_ON_REQUEST",
    "Canonical",
    "KeyOptions",
    "ToolMemo",
    "canonicalise",
    "with_stream_requested",
    "with_usage_requested",
]

_DIALECTS: dict[str, Dialect] = {
    _CHAT: canonical_chat,
    _COMPLETIONS: canonical_completions,
    _MESSAGES: canonical_messages,
    _RESPONSES: canonical_responses,
    _EMBEDDINGS: canonical_embeddings,
    _RERANK: canonical_rerank,
    _MODERATIONS: canonical_moderations,
    _IMAGES: canonical_images,
    _SPEECH: canonical_speech,
}

JSON_ENDPOINTS: frozenset[str] = frozenset(_DIALECTS)
"""Those of which bodies are JSON."""

FORM_ENDPOINTS: frozenset[str] = frozenset({_TRANSCRIPTIONS})
"""Those of which bodies are multipart/form-data."""

CACHEABLE_ENDPOINTS: frozenset[str] = JSON_ENDPOINTS | FORM_ENDPOINTS
"""Paths below the API base whose dialect is known; all others are forwarded untouched unless named."""


def canonicalise(
    endpoint: str,
    raw: bytes,
    options: KeyOptions,
    seen_tools: ToolMemo | None = None,
    content_type: bytes = b"",
) -> Canonical | Bypass:
    """The canonical form of one request body.

    Args:
        endpoint: path below the API base, e.g. `chat/completions`.
        raw: the body without any content coding.
        options: what the operator chose.
        seen_tools: remembers tool lists from call to call; it changes the cost alone.
        content_type: value of the call's one Content-Type field, which forms cannot be read without.

    Returns:
        the canonical form, whose `call.bypass` may still say that the call is never cached; or why the body
        has none (`route`, `duplicate-key`, `number`, `surrogate`, `utf8`, `control-character`, `nesting`,
        `field-type`, `too-many-values`).

    Raises:
        RequestError: the body is empty or no JSON parser reads it.
    """
    dialect = _DIALECTS.get(endpoint)
    if dialect is None and endpoint in options.generic_paths:
        dialect = generic_dialect(endpoint)
    if dialect is None:
        return _of_form(endpoint, raw, content_type, options)
    try:
        form = dialect(raw, options, seen_tools)
        call = form.call
        if (call.fallback_models or call.model.startswith(PREFIX)) and names_policy(call):
            form = under_policies(form, dialect, raw, options, seen_tools)
        return looser(form, options) if options.rules else form
    except UnsafeBodyError as error:
        return Bypass(error.detail, error.model)
    except RecursionError:
        # Far deeper than is keyed, or the caller's own stack left less room than that.
        return Bypass("nesting")


def _of_form(endpoint: str, raw: bytes, content_type: bytes, options: KeyOptions) -> Canonical | Bypass:
    if endpoint not in FORM_ENDPOINTS:
        return Bypass("route")
    try:
        return canonical_transcriptions(raw, content_type, options)
    except UnsafeBodyError as error:
        return Bypass(error.detail, error.model)
