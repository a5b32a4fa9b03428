"""How the fields of completion chunks become those of one answer: the assembly table, as data.

Sources: OpenAI's reference of the completion object, which a stream repeats with pieces of the text; Azure
OpenAI (content filter fields), vLLM (`stop_reason`), OpenRouter (`provider`, `native_finish_reason`).
"""

from tiered_cache.core.chat_fields import Field, Rule, Table

LOGPROBS = Table(
    Field("tokens", Rule.EXTEND),
    Field("token_logprobs", Rule.EXTEND),
    Field("top_logprobs", Rule.EXTEND),
    # Places in the whole text, in every chunk.
    Field("text_offset", Rule.EXTEND),
)

CHOICE = Table(
    Field("text", Rule.JOIN),
    Field("index", Rule.FIRST),
    Field("logprobs", Rule.NESTED, LOGPROBS),
    Field("finish_reason", Rule.AGREE),
    Field("content_filter_results", Rule.ONCE),
    Field("stop_reason", Rule.ONCE),
    Field("native_finish_reason", Rule.ONCE),
    Field("error", Rule.DROP),
)

CHUNK = Table(
    Field("id", Rule.FIRST),
    Field("object", Rule.FIXED, default=b'"text_completion"'),
    Field("created", Rule.FIRST),
    Field("model", Rule.ONCE),
    Field("provider", Rule.ONCE),
    Field("choices", Rule.INDEXED, CHOICE),
    Field("usage", Rule.LAST),
    Field("system_fingerprint", Rule.LAST),
    Field("prompt_filter_results", Rule.ONCE),
    Field("obfuscation", Rule.DROP),
    Field("error", Rule.DROP),
)
