"""What a chat template takes, in words. Normalization changes a conversation where the template does not take something."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "takes_system": "a system message",
    "takes_late_system": "a later or second system message",
    "takes_names": "names of speakers",
    "takes_repeated_roles": "two messages of one role in a row",
    "takes_assistant_first": "an assistant's message first",
    "takes_no_user": "a conversation without a user's message",
    "takes_assistant_last": "an assistant's message last",
    "takes_tools": "tools",
    "takes_calls": "past tool calls",
    "takes_results": "tool results",
    "takes_reasoning": "past thoughts",
    "takes_any_opening_with_tools": "tools with any first message",
    "takes_parallel_calls": "several calls in one message",
    "takes_text_beside_calls": "text beside calls",
    "takes_text_before_calls": "a message of text before calls",
    "takes_unpaired_calls": "calls without a result",
    "takes_any_call_id": "call IDs of any form",
    "shows_called_names": "names of called functions",
    "takes_nameless_results": "tool results without the function's name",
    "takes_late_results": "tool results that do not directly follow their call",
}
"""By the name of a trait in `TemplateTraits`."""
