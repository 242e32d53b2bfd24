"""Checks of the form of a streamed answer."""

from collections import defaultdict

from service.check.checks.definition import check
from service.check.checks.schema import ChatCompletionChunk
from service.check.checks.validation import first_few, validate
from service.check.outcome import Failed, Skipped, Warned
from service.check.probe.loose_json import parse, value_at
from service.check.probe.session import Session
from service.check.probe.stream import Delta, Stream


@check(
    "stream.content-type",
    "`stream: true` is answered as text/event-stream",
    worst="fail",
    fix="Honour `stream: true`, and send `Content-Type: text/event-stream`. If a proxy changes it, correct the proxy.",
)
async def content_type(session: Session) -> str:
    seen = await session.stream_exchange()
    if not seen.is_ok:
        raise Failed(seen.summary())
    if seen.media_type != "text/event-stream":
        raise Failed(f"the content type is {seen.media_type or 'missing'}, not text/event-stream")
    return "text/event-stream"


@check(
    "stream.framing",
    "Server-sent events are framed: a blank line follows each `data:` line",
    worst="fail",
    fix="Write each event as `data: {...}` and a blank line. Write nothing else into the stream but comments, and no logs.",
)
async def framing(session: Session) -> str:
    seen = await session.stream_exchange()
    stream = Stream(seen)
    if seen.status == 200 and not stream.events:
        raise Failed("no `data:` line came")
    stream = await session.stream()
    if stream.faults:
        raise Failed(first_few(stream.faults))
    return f"{len(stream.events)} events"


@check(
    "stream.utf8",
    "The stream is UTF-8, and no character is cut in two",
    worst="fail",
    fix="Decode tokens incrementally, and hold bytes back until a character is complete. Send only UTF-8.",
)
async def utf8(session: Session) -> str:
    stream = await session.stream()
    try:
        stream.exchange.body.decode()
    except UnicodeDecodeError as error:
        raise Failed(f"byte {error.start} is not valid UTF-8") from None
    # The token limit may cut the last character. Any other is cut between two deltas.
    cut = sum("\ufffd" in delta.text for delta in stream.contents[:-1])
    if cut:
        raise Warned(f"U+FFFD, the replacement for a broken character, in {cut} deltas")
    return "UTF-8, no character cut"


@check(
    "stream.chunks",
    "Every event matches OpenAI's ChatCompletionChunk in every field and type",
    worst="fail",
    fix="Make the named fields match OpenAI's API reference. An error event means that the answer failed midway: look in the "
    "server's log.",
)
async def chunks(session: Session) -> str:
    stream = await session.stream()
    if any("error" in chunk for _, chunk in stream.chunks):
        raise Failed("an error event")
    absent = ""
    extra: set[str] = set()
    for number, event in enumerate(stream.payloads, start=1):
        result = validate(ChatCompletionChunk, event.data)
        if result.faults:
            raise Failed(f"chunk {number}: {first_few(result.faults)}")
        if result.absent and not absent:
            absent = f"chunk {number}: missing fields, which clients read as null: {first_few(result.absent)}"
        extra.update(result.extra)
    if absent:
        raise Warned(absent)
    return f"{len(stream.payloads)} chunks" + (f"; fields that OpenAI does not have: {first_few(sorted(extra))}" if extra else "")


@check(
    "stream.identity",
    "All chunks have the same `id`, `model` and `created`",
    worst="fail",
    fix="Create `id` and `created` once for each turn. Repeat them and `model` in every chunk.",
)
async def identity(session: Session) -> str:
    stream = await session.stream()
    for name in ("id", "model", "created"):
        given = [chunk.get(name) for _, chunk in stream.chunks if "error" not in chunk]
        # Compare values of any other type by their type only: stream.chunks reports them.
        values = {value if isinstance(value, str | int) else type(value) for value in given}
        if len(values) > 1:
            raise Failed(f"{len(values)} values of `{name}` in one stream")
    return "one of each"


@check(
    "stream.role",
    'The first delta of a choice says `role: "assistant"`',
    worst="fail",
    fix='Send `"role": "assistant"` in the first delta of each choice.',
)
async def role(session: Session) -> str:
    for choice, deltas in _by_choice(await session.stream()).items():
        if deltas[0].role != "assistant":
            raise Failed(f"the first delta of choice {choice} does not have the role `assistant`")
    return "in the first delta"


@check(
    "stream.finish",
    "Each choice has exactly one `finish_reason`, after its last content",
    worst="fail",
    fix="Set `finish_reason` in the last delta of each choice, and null in all others.",
)
async def finish(session: Session) -> str:
    for choice, deltas in _by_choice(await session.stream()).items():
        ends = [number for number, delta in enumerate(deltas) if delta.finish_reason is not None]
        if len(ends) != 1:
            raise Failed(f"{len(ends)} finish reasons in choice {choice}")
        if any(delta.is_content for delta in deltas[ends[0] + 1 :]):
            raise Failed(f"content after the finish reason of choice {choice}")
    return "one, at the end"


def _by_choice(stream: Stream) -> dict[int, list[Delta]]:
    found: dict[int, list[Delta]] = defaultdict(list)
    for delta in stream.deltas:
        found[delta.choice].append(delta)
    if not found:
        raise Skipped("no choices came: see stream.chunks")
    return found


@check(
    "stream.done",
    "`data: [DONE]` is the last event, and the body ends after it",
    worst="fail",
    fix="Send `data: [DONE]` once, as the last event, and end the body at once. A client waits for both.",
)
async def done(session: Session) -> str:
    stream = await session.stream()
    if stream.exchange.end != "whole":
        raise Failed("the body did not end after [DONE]" if stream.exchange.end == "left open" else stream.exchange.summary())
    marks = [event.is_done for event in stream.events]
    if marks.count(True) != 1 or not marks[-1]:
        raise Failed(f"[DONE] came {marks.count(True)} times" + (", not last" if any(marks) and not marks[-1] else ""))
    return "[DONE], then the end of the body"


@check(
    "stream.usage",
    "`stream_options.include_usage` adds a last chunk with the usage",
    worst="fail",
    fix="Honour `stream_options: {include_usage: true}`. Send a last chunk with empty `choices` and the `usage`. In all other "
    "chunks `usage` is null.",
)
async def usage(session: Session) -> str:
    seen = await session.ask(session.body(stream=True, stream_options={"include_usage": True}))
    if not seen.is_ok:
        raise Failed(seen.summary())
    stream = Stream(seen)
    if not stream.chunks:
        raise Skipped("no chunks came: see stream.framing")
    with_usage = [position for position, (_, chunk) in enumerate(stream.chunks, start=1) if chunk.get("usage") is not None]
    last = stream.chunks[-1][1]
    if with_usage != [len(stream.chunks)] or last.get("choices") != []:
        raise Failed(
            f"usage in {len(with_usage)} of {len(stream.chunks)} chunks"
            + ("" if last.get("choices") == [] else ", and the last has choices")
        )
    if faults := validate(ChatCompletionChunk, stream.payloads[-1].data).faults:
        raise Failed(first_few(faults))
    return "in the last chunk"


@check(
    "stream.same-text",
    "The same question gets the same text, streamed or not",
    worst="warn",
    fix="With temperature 0 and a seed both texts should be the same. If they differ, check whether the stream loses pieces, "
    "and whether several versions are behind the URL. Engines that batch may differ now and then.",
)
async def same_text(session: Session) -> str:
    stream = await session.stream()
    whole = _text_of(session.whole.body)
    if whole is None:
        raise Skipped("nothing to compare with: see response.schema")
    if not whole and not stream.text:
        raise Warned("neither answer has text within 32 tokens")
    if whole != stream.text:
        raise Warned(f"the texts differ: {len(stream.text)} characters streamed, {len(whole)} not streamed")
    return f"the same {len(whole)} characters"


def _text_of(body: bytes) -> str | None:
    """The text of the message. None without a message."""
    message = value_at(parse(body), "choices", 0, "message")
    content = value_at(message, "content") or ""
    return content if isinstance(message, dict) and isinstance(content, str) else None


CHECKS = (content_type, framing, utf8, chunks, identity, role, finish, done, usage, same_text)
