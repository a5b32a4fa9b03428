"""The events, items and fields of Responses answers that are known here, as data.

Source: OpenAI API reference, The response object and Streaming events.
"""

from typing import Final

from tiered_cache.core.usage import UsageNames

USAGE: Final = UsageNames("input_tokens", "output_tokens", "input_tokens_details")

COMPLETED: Final = "response.completed"
INCOMPLETE: Final = "response.incomplete"
FAILED: Final = "response.failed"

ENDS: Final = {"completed": COMPLETED, "incomplete": INCOMPLETE}
"""The last event of a stream whose answer has this `status`, and says so in full."""

LAST_EVENTS: Final = frozenset({COMPLETED, INCOMPLETE, FAILED, "error"})

KEEPALIVES: Final = frozenset({"ping", "keepalive"})
"""Events of one connection; not stored."""

EVENTS: Final = frozenset(
    {
        *("response.created", "response.queued", "response.in_progress"),
        *("response.output_item.added", "response.output_item.done"),
        *("response.content_part.added", "response.content_part.done"),
        *("response.output_text.delta", "response.output_text.done"),
        "response.output_text.annotation.added",
        *("response.refusal.delta", "response.refusal.done"),
        *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
        *("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"),
        *("response.reasoning_text.delta", "response.reasoning_text.done"),
        *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
        *("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"),
        *("response.web_search_call.in_progress", "response.web_search_call.searching"),
        "response.web_search_call.completed",
    }
    | {COMPLETED, INCOMPLETE, FAILED}
)
"""What the response object of the last event says in full. An event of another type locks the entry."""

CALL_ITEMS: Final = frozenset(
    {
        *("function_call", "custom_tool_call", "local_shell_call", "computer_call", "apply_patch_call"),
        *("shell_call", "tool_search_call"),
    }
)
"""Items by which the client is asked to do something."""

ORIGIN_ITEMS: Final = frozenset(
    {
        *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
        *("code_interpreter_call", "file_search_call", "image_generation_call"),
        *("shell_call_output", "program", "program_output", "tool_search_output"),
        *("function_call_output", "custom_tool_call_output", "computer_call_output"),
        *("local_shell_call_output", "apply_patch_call_output"),
    }
)
"""Items that tell of a tool which the origin executed: a template may bring tools that no body names."""

SEARCH_ITEM: Final = "web_search_call"

SAYS_NOTHING: Final = frozenset({"reasoning", "compaction", SEARCH_ITEM})
"""Items that are no answer by themselves."""

ECHOES: Final = {
    "metadata": b"{}",
    "user": b"null",
    "safety_identifier": b"null",
    "prompt_cache_key": b"null",
}
"""Fields of the request that the answer repeats although they are not in the key, and what stands there for
a caller who did not ask the origin: whom another call was for is nobody else's business."""
