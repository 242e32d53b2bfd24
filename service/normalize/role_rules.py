"""Rules about roles: names, empty messages, system messages, order of roles. They change what a template does not support."""

from dataclasses import replace
from itertools import chain, groupby

from service.domain import Message
from service.normalize.context import SILENCE, Context, Messages, joined


def dropped_reasoning(messages: Messages, context: Context) -> Messages:
    """Applies if the template does not show what an assistant thought. Then it is dropped."""
    if context.traits.takes_reasoning:
        return messages
    return tuple(replace(message, reasoning="") if message.reasoning else message for message in messages)


def names(messages: Messages, context: Context) -> Messages:
    """Applies if the template does not show names. If a role (`user` or `system`) has several speakers, each name is put before
    its content as `name: `. Otherwise names are dropped. An assistant's name is always dropped: the model would learn to say it.
    """
    if context.traits.takes_names or not any(message.name for message in messages if message.role != "tool"):
        return messages
    speakers = {(message.role, message.name) for message in messages}
    several = {role for role in ("user", "system") if sum(speaker[0] == role for speaker in speakers) > 1}
    return tuple(_without_name(message, is_shown=message.role in several) for message in messages)


def _without_name(message: Message, *, is_shown: bool) -> Message:
    if not message.name or message.role == "tool":  # A tool message's name is its function, and some templates use it.
        return message
    return replace(message, name=None, content=f"{message.name}: {message.content}" if is_shown else message.content)


def empty_messages(messages: Messages, context: Context) -> Messages:
    """Drops system messages, and assistant messages without calls, that are empty or only white space. They would teach the
    model to say nothing. An empty user message stays: silence is an answer. An empty system message at the start stays if the
    template supports system messages: it replaces the template's own default.
    """
    is_opening_kept = context.traits.takes_system and bool(messages) and messages[0].role == "system"
    return tuple(
        message for position, message in enumerate(messages) if (position == 0 and is_opening_kept) or not _says_nothing(message)
    )


def _says_nothing(message: Message) -> bool:
    return message.role in ("system", "assistant") and not message.tool_calls and not message.content.strip()


def late_system(messages: Messages, context: Context) -> Messages:
    """Applies if the template supports at most one system message, at the start. All system messages are joined there, with an
    empty line between them.
    """
    systems = [message for message in messages if message.role == "system"]
    is_needed = systems and (len(systems) > 1 or messages[0] is not systems[0])
    if not is_needed or (context.traits.takes_system and context.traits.takes_late_system):
        return messages
    first = Message("system", joined((message.content for message in systems), "\n\n"))
    return first, *(message for message in messages if message.role != "system")


def folded_system(messages: Messages, context: Context) -> Messages:
    """Applies if the template supports no system message. If the next message is the user's, the system message's content is put
    before its content, with an empty line between them. Otherwise the system message becomes a user message.
    """
    if context.traits.takes_system or not messages or messages[0].role != "system":
        return messages
    system, *rest = messages
    if not rest or rest[0].role != "user":
        return Message("user", system.content), *rest
    return replace(rest[0], content=joined((system.content, rest[0].content), "\n\n")), *rest[1:]


def opening_user(messages: Messages, context: Context) -> Messages:
    """Applies if the template requires a user message and there is none, or if it requires one first and another role comes
    first. A user message `...` then opens the conversation, after any system message. Also applies if no message is left.
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
    """Applies if roles must alternate. Messages of one role in a row are joined with a newline."""
    if context.traits.takes_repeated_roles:
        return messages
    # A unique number keeps a message that is not spoken out of every run.
    runs = groupby(enumerate(messages), key=lambda item: (item[1].role, 0 if _is_spoken(item[1]) else 1 + item[0]))
    return tuple(_as_one([message for _, message in run]) for _, run in runs)


def roles_around_calls(messages: Messages, context: Context) -> Messages:
    """Applies if roles must alternate, not counting calls and results. An assistant's texts before and after its calls are
    joined after them. If two user messages have only calls and results between them, an assistant message `...` is put before
    the second.
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
    """Applies if the last message is the assistant's, and roles must alternate or the template refuses such an end. A user
    message `...` is added, and the model answers that.
    """
    traits, last = context.traits, messages[-1] if messages else None
    if (
        last is None
        or last.role != "assistant"
        or (traits.takes_assistant_last and (traits.takes_repeated_roles or last.tool_calls))
    ):
        return messages
    return *messages, Message("user", SILENCE)


def _is_spoken(message: Message) -> bool:
    """Return whether a message is text of the user or the assistant, and not a call, a result or a system message."""
    return message.role in ("user", "assistant") and not message.tool_calls


def _as_one(run: list[Message]) -> Message:
    if len(run) == 1:
        return run[0]
    content, reasoning = (joined((getattr(said, field) for said in run), "\n") for field in ("content", "reasoning"))
    return replace(run[0], content=content, reasoning=reasoning)
