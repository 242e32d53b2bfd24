"""Rules about who speaks when: names, silence, system messages, the order of roles. Each bends what the template cannot take."""

from dataclasses import replace
from itertools import chain, groupby

from service.domain import Message
from service.normalize.context import Context, Messages, joined

SILENCE = "..."
"""Stands for a turn that the template demands and nobody took. Not empty: templates refuse that, or leave the turn out."""


def names(messages: Messages, context: Context) -> Messages:
    """Where the template shows no names: if a role (`user` or `system`) has several speakers, each name is put before its content
    as `name: `; else names are dropped. Never before an assistant's content: the model would learn to say its name.
    """
    if context.traits.takes_names or not any(message.name for message in messages if message.role != "tool"):
        return messages
    speakers = {(message.role, message.name) for message in messages}
    several = {role for role in ("user", "system") if sum(speaker[0] == role for speaker in speakers) > 1}
    return tuple(_without_name(message, is_told=message.role in several) for message in messages)


def _without_name(message: Message, *, is_told: bool) -> Message:
    if not message.name or message.role == "tool":  # A tool's is its function, for templates that ask.
        return message
    return replace(message, name=None, content=f"{message.name}: {message.content}" if is_told else message.content)


def empty_messages(messages: Messages, context: Context) -> Messages:
    """A system message, or an assistant's without calls, that is empty or only white space is dropped: it would teach the model
    to say nothing. A user's stays: silence is an answer. So does an opening system message that the template takes: it says
    that the template's own default shall not be said.
    """
    is_opening_kept = context.traits.takes_system and bool(messages) and messages[0].role == "system"
    return tuple(
        message for position, message in enumerate(messages) if (position == 0 and is_opening_kept) or not _says_nothing(message)
    )


def _says_nothing(message: Message) -> bool:
    return message.role in ("system", "assistant") and not message.tool_calls and not message.content.strip()


def late_system(messages: Messages, context: Context) -> Messages:
    """Where the template takes only one system message, at the start: all are joined there, by an empty line."""
    systems = [message for message in messages if message.role == "system"]
    is_needed = systems and (len(systems) > 1 or messages[0] is not systems[0])
    if not is_needed or (context.traits.takes_system and context.traits.takes_late_system):
        return messages
    first = Message("system", joined((message.content for message in systems), "\n\n"))
    return first, *(message for message in messages if message.role != "system")


def folded_system(messages: Messages, context: Context) -> Messages:
    """Where the template takes no system message: it is put before the content of the user message after it, an empty line
    between; or becomes a user message where none is after it.
    """
    if context.traits.takes_system or not messages or messages[0].role != "system":
        return messages
    system, *rest = messages
    if not rest or rest[0].role != "user":
        return Message("user", system.content), *rest
    return replace(rest[0], content=joined((system.content, rest[0].content), "\n\n")), *rest[1:]


def opening_user(messages: Messages, context: Context) -> Messages:
    """Where the template wants a user message, or wants it first, and there is none: a user message `...` opens the conversation.
    So too where no message is left.
    """
    start = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    opener = messages[start].role if start < len(messages) else None
    traits, has_tools = context.traits, bool(context.tool_use and context.traits.takes_tools)
    is_wanted = (
        not messages
        or (opener not in ("user", None) and not (traits.takes_assistant_first and traits.takes_repeated_roles))
        or (opener != "user" and has_tools and not traits.takes_any_opening_with_tools)
        or (not traits.takes_no_user and not any(message.role == "user" for message in messages))
    )
    return (*messages[:start], Message("user", SILENCE), *messages[start:]) if is_wanted else messages


def repeated_roles(messages: Messages, context: Context) -> Messages:
    """Where roles must alternate: neighbours of one role are joined by a newline."""
    if context.traits.takes_repeated_roles:
        return messages
    # A number of its own keeps a message out of every run.
    runs = groupby(enumerate(messages), key=lambda item: (item[1].role, 0 if _is_spoken(item[1]) else 1 + item[0]))
    return tuple(_as_one([message for _, message in run]) for _, run in runs)


def roles_around_calls(messages: Messages, context: Context) -> Messages:
    """Where roles must alternate, calls and results not counted: an assistant's words before and after its calls are joined after
    them; between two user messages with only calls between them an assistant message `...` is put.
    """
    if context.traits.takes_repeated_roles:
        return messages
    spoken = [i for i, message in enumerate(messages) if _is_spoken(message)]
    instead: dict[int, Messages] = {}
    for role, run in groupby(spoken, key=lambda i: messages[i].role):
        first, *others = run
        if role == "user":
            instead |= {i: (Message("assistant", SILENCE), messages[i]) for i in others}
        elif others:
            instead |= dict.fromkeys((first, *others), ())
            instead[others[-1]] = (_as_one([messages[i] for i in (first, *others)]),)
    return tuple(chain.from_iterable(instead.get(i, (message,)) for i, message in enumerate(messages)))


def closing_user(messages: Messages, context: Context) -> Messages:
    """Where roles must alternate and the assistant spoke last: a user message `...` follows, and the model answers that."""
    if context.traits.takes_repeated_roles or not messages or messages[-1].role != "assistant" or messages[-1].tool_calls:
        return messages
    return *messages, Message("user", SILENCE)


def _is_spoken(message: Message) -> bool:
    """A turn of the user or the assistant: no call, no result, no system message."""
    return message.role in ("user", "assistant") and not message.tool_calls


def _as_one(run: list[Message]) -> Message:
    return run[0] if len(run) == 1 else replace(run[0], content=joined((message.content for message in run), "\n"))
