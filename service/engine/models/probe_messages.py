"""The tiny conversations with which a chat template is probed. Their words are words that no template says by itself."""

from typing import Any

from service.engine.models.json_object import JsonObject

Said = dict[str, Any]
"""A message as a template gets it. Arguments of calls are `JsonObject`s."""

SYSTEM, LATE = "zsystemz", "zlatez"
HELLO, ANSWER, MORE, ENOUGH = "zhelloz", "zanswerz", "zmorez", "zenoughz"
THOUGHT, NAME, UNKNOWN_ROLE = "zthoughtz", "znamez", "zrolez"
TOOL, KEY, VALUES, RESULTS = "ztoolz", "zkeyz", ("zvaluez", "zothervaluez"), ("zresultz", "zotherresultz")
TOOLS: list[Said] = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "A probe.",
            "parameters": {
                "type": "object",
                "properties": {KEY: {"type": "string", "description": "A word."}},
                "required": [KEY],
            },
        },
    }
]

Ids = tuple[str, str]
SHORT_IDS: Ids = ("call00000", "call00001")
"""Mistral's form of IDs, which all templates take."""
NAMED_IDS: Ids = (f"functions.{TOOL}:0", f"functions.{TOOL}:1")
"""Kimi K2's form of IDs: it shows them in place of the function's name."""
LONG_IDS: Ids = ("call_0123456789abcdefABCDEF", "call_1123456789abcdefABCDEF")
TINY_IDS: Ids = ("a", "b")


def say(role: str, content: str, **fields: Any) -> Said:
    return {"role": role, "content": content, **fields}


def tool_round(
    *, calls: int = 1, text: str = "", thought: str = "", ids: Ids = SHORT_IDS, are_results_named: bool = False
) -> list[Said]:
    """Return a question, calls and their results."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": TOOL, "arguments": JsonObject({KEY: value})}}
        for call_id, value in zip(ids, VALUES, strict=True)
    ]
    name = {"name": TOOL} if are_results_named else {}
    results = [say("tool", result, tool_call_id=call_id, **name) for call_id, result in zip(ids, RESULTS, strict=True)]
    fields = reasoning(thought) if thought else {}
    return [say("user", HELLO), say("assistant", text, tool_calls=made[:calls], **fields), *results[:calls]]


def reasoning(thought: str) -> Said:
    """Return the fields with which vLLM gives a template what an assistant thought."""
    return {"reasoning": thought, "reasoning_content": thought}


def result_alone(role: str) -> list[Said]:
    """Return a conversation with a result in a message of this role. Its call is text of the message before it."""
    called = say("assistant", ANSWER)
    return [say("user", HELLO), called, say(role, RESULTS[0], tool_call_id=SHORT_IDS[0]), say("user", MORE)]
