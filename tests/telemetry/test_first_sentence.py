"""When a turn has its first word, and when it has its first sentence."""

import pytest

from service.domain import ChoiceFinished, Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from service.telemetry.first_sentence import SpeechTimer

END = Finished(Usage(1, 1, 0))


def spoken(*texts: str) -> list[bool]:
    """Return after each piece whether the sentence is complete."""
    speech = SpeechTimer()
    whole = []
    for text in texts:
        speech.observe((TextDelta(0, text),))
        whole.append(speech.first_sentence_s is not None)
    return whole


@pytest.mark.parametrize(
    "texts",
    [
        ("Hello there", ".", " How"),
        ("Well", "!", " "),
        ('He said "yes', '."', " And"),
        ("It costs 3", ".5", "0. So"),
        ("Dr", ". Who is", " in. Now"),
        ("Is it", "?", "\n"),
        ("On one line", " and", "\n"),
        ("您好", "", "。"),
        ("आप कैसे", " हैं", "। अच्छा"),
        ("هل أنت", " هنا", "؟ نعم"),
        ("At 5 p.m", ". we", " close. Then"),
        ("…", " well", ". So"),
        ("12", ".", " Take the next. Then"),
        ("1", ".", " Take the first train. Then"),
        ("word " * 100, "word " * 90, "word " * 20),
    ],
)
def test_a_sentence_is_whole_once_it_cannot_go_on(texts: tuple[str, ...]) -> None:
    assert spoken(*texts) == [False, False, True]


def events(*given: Event) -> SpeechTimer:
    speech = SpeechTimer()
    for event in given:
        assert not speech.is_done
        speech.observe((event,))
    return speech


def test_an_answer_without_an_end_of_a_sentence_is_one_when_it_ends() -> None:
    speech = events(TextDelta(0, "Yes"), END)
    assert speech.is_done
    assert speech.first_word_s is not None and speech.first_sentence_s is not None
    assert speech.first_word_s <= speech.first_sentence_s


def test_a_thought_and_an_empty_text_are_not_heard() -> None:
    speech = events(ReasoningDelta(0, "Let me see. Yes."), TextDelta(0, ""))
    assert speech.first_word_s is None


def test_a_tool_call_is_a_first_word_but_nothing_that_a_voice_could_say() -> None:
    speech = events(ToolCallDelta(0, 0, "", "call_1", "f"))
    assert speech.is_done
    assert speech.first_word_s is not None and speech.first_sentence_s is None


def test_what_is_said_before_a_tool_call_is_a_sentence() -> None:
    speech = events(TextDelta(0, "One moment"), ToolCallDelta(0, 0, "", "call_1", "f"))
    assert speech.first_sentence_s is not None


def test_the_first_choice_can_end_before_the_turn_does() -> None:
    speech = events(TextDelta(0, "Yes"), ChoiceFinished(0, "stop"))
    assert speech.is_done and speech.first_sentence_s is not None


def test_sentences_are_those_of_the_first_choice() -> None:
    speech = events(TextDelta(1, "I am another. Yes"))
    assert speech.first_word_s is not None and speech.first_sentence_s is None
