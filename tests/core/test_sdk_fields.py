"""What the OpenAI SDK can send on chat/completions, held against the tables; the other dialects have their own."""

from typing import get_args

from openai.types.chat import (
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
    ChatCompletionToolUnionParam,
    completion_create_params,
)

from tests.core.sdk_fields import fields_of, kinds_of
from tiered_cache.core.canonical.chat_tables import BODY_FIELDS, CLIENT_TOOLS, MESSAGE_FIELDS

KEYED_AS_THEY_STAND = {"moderation"}
"""Fields of the SDK without a row: nothing of them is checked, dropped or left out."""

OF_ROUTERS = {"models", "requesty", "top_k", "guided_json", "structured_outputs"}
"""Rows that the SDK has no field for: Requesty's own, and those of other servers behind it."""

PARTS = {"text", "image_url", "input_audio", "file"}
"""Types of content parts that were looked at: only text and images have rules of their own."""


def test_every_field_of_a_body_has_a_row_or_is_on_the_written_list():
    asked = fields_of(completion_create_params.CompletionCreateParamsStreaming)
    asked |= fields_of(completion_create_params.CompletionCreateParamsNonStreaming)
    known = {field.name for field in BODY_FIELDS}

    assert len(asked) > 30
    assert asked - known == KEYED_AS_THEY_STAND, "new in the SDK, so in the key: give it a row or list it"
    assert known - asked == OF_ROUTERS


def test_every_field_of_a_message_has_a_row():
    sent = set().union(*map(fields_of, get_args(ChatCompletionMessageParam)))

    assert sent - {field.name for field in MESSAGE_FIELDS} == set(), "new in the SDK, so in the key"


def test_every_tool_and_part_is_known():
    assert kinds_of(ChatCompletionToolUnionParam) == CLIENT_TOOLS, "new in the SDK: say who executes it"
    assert kinds_of(ChatCompletionContentPartParam) == PARTS, "new in the SDK: look whether it names a URL"
