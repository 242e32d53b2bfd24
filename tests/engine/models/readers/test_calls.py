"""Properties of all syntaxes: what a model writes as calls is read as those calls, however its tokens are cut."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.models.formats import CALLS
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.parts import Offered
from tests.engine.models.families import SCHEMAS
from tests.engine.models.readers.reading import OFFERED, Heard, format_of, read_tokens
from tests.engine.models.readers.strategies import Cutting, calls, cuttings, marks_of, sentences
from tests.engine.models.readers.writers import WRITERS

quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
each_syntax = pytest.mark.parametrize("syntax", CALLS)


def heard(syntax: str, text: str, cutting: Cutting, offered: Offered = OFFERED, **options: Any) -> Heard:
    return read_tokens(AnswerReader(format_of(syntax), offered, **options), cutting(text, marks_of(syntax)))


def test_every_syntax_has_a_writer() -> None:
    assert WRITERS.keys() == CALLS.keys()


@each_syntax
@quick
@given(
    data=st.data(), before=sentences(), after=st.sampled_from(["", "", "Goodbye.", "[Laughs] Bye.", "1 < 2"]), cutting=cuttings()
)
def test_what_was_written_is_read(syntax: str, data: st.DataObject, before: str, after: str, cutting: Cutting) -> None:
    written = data.draw(calls(syntax))
    answer = heard(syntax, f"{before}\n{WRITERS[syntax].write(written)}\n{after}", cutting)
    assert answer.arguments == written
    assert "".join(answer.content.split()) == "".join((before + after).split())
    assert answer.content.strip() == answer.content
    assert answer.dropped == ()


@each_syntax
@quick
@given(data=st.data(), before=sentences(), cutting=cuttings(), place=st.floats(0, 1))
def test_an_answer_that_is_cut_is_a_beginning_of_the_whole(
    syntax: str, data: st.DataObject, before: str, cutting: Cutting, place: float
) -> None:
    written = data.draw(calls(syntax))
    tokens = cutting(f"{before}\n{WRITERS[syntax].write(written)}", marks_of(syntax))
    whole = read_tokens(AnswerReader(format_of(syntax), OFFERED), tokens)
    cut = read_tokens(AnswerReader(format_of(syntax), OFFERED), tokens[: int(len(tokens) * place)], "length")
    check_beginning(cut, whole)


def check_beginning(cut: Heard, whole: Heard) -> None:
    # White space at the end, and a single character, can be of the text or of a mark.
    assert whole.content.startswith((cut.content, cut.content.rstrip(), cut.content[:-1].rstrip()))
    assert whole.thought.startswith((cut.thought, cut.thought[:-1].rstrip()))
    assert cut.dropped == ()
    assert len(cut.calls) <= len(whole.calls)
    for number, ((name, arguments, is_cut), full) in enumerate(zip(cut.calls, whole.calls, strict=False)):
        assert name == full[0]
        assert full[1].startswith(arguments)
        assert not is_cut or number == len(cut.calls) - 1
        assert is_cut or arguments == full[1]


@each_syntax
@quick
@given(data=st.data(), before=sentences(), cutting=cuttings(), stops=st.lists(st.sampled_from(list("Paris}],:<\n")), max_size=3))
def test_stop_strings_end_content_and_nothing_else(
    syntax: str, data: st.DataObject, before: str, cutting: Cutting, stops: list[str]
) -> None:
    text = f"{before}\n{WRITERS[syntax].write(data.draw(calls(syntax, max_size=2)))}"
    whole = heard(syntax, text, cutting)
    stopped = heard(syntax, text, cutting, stops=stops)
    places = [place for stop in stops if (place := whole.content.find(stop)) >= 0]
    if places:
        assert stopped.content == whole.content[: min(places)]
        assert stopped.calls == ()
    else:
        assert stopped == whole


@each_syntax
@quick
@given(data=st.data(), cutting=cuttings())
def test_a_turn_without_tools_shows_no_markup(syntax: str, data: st.DataObject, cutting: Cutting) -> None:
    written = data.draw(calls(syntax))
    text = f"One moment.\n{WRITERS[syntax].write(written)}"
    answer = heard(syntax, text, cutting, Offered({}))
    assert answer.calls == ()
    if CALLS[syntax].bare_opens:
        assert answer.content == text
    else:
        assert answer.content == "One moment."
        assert answer.dropped == ("unknown_function",) * len(written)


@each_syntax
def test_calls_above_the_maximum_are_ignored(syntax: str) -> None:
    text = WRITERS[syntax].write([("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})])
    answer = heard(syntax, text, Cutting([3], "tokens"), Offered(SCHEMAS, max_calls=1))
    assert answer == Heard(calls=(("get_weather", '{"city": "Paris"}', False),))


@each_syntax
def test_a_call_that_was_not_offered_is_dropped_and_the_others_are_kept(syntax: str) -> None:
    text = WRITERS[syntax].write([("end_call", {}), ("get_stocks", {"name": "ACME"}), ("end_call", {})])
    answer = heard(syntax, text, Cutting([3], "special"))
    assert answer == Heard(calls=(("end_call", "{}", False),) * 2, dropped=("unknown_function",))


@each_syntax
def test_a_lone_surrogate_becomes_the_replacement_character(syntax: str) -> None:
    text = WRITERS[syntax].write([("note", {"text": "SIGN", "done": True})])
    answer = heard(syntax, text.replace("SIGN", "\\ud83d"), Cutting([3], "tokens"))
    is_escape = WRITERS[syntax].kind in ("json", "python")
    assert answer.arguments == [("note", {"text": "\ufffd" if is_escape else "\\ud83d", "done": True})]
