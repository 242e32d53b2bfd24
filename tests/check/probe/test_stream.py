"""Reading a stream whose pieces and arrival times are known."""

from service.check.probe.client import Exchange
from service.check.probe.stream import Stream

ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'


def content(text: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % text.encode()


def stream(*pieces: tuple[float, bytes]) -> Stream:
    return Stream(Exchange(sent_at=10.0, status=200, pieces=list(pieces)))


def test_ttft_is_when_the_first_content_was_whole() -> None:
    head, tail = content("Hello")[:20], content("Hello")[20:]
    assert stream((11.0, ROLE), (12.0, head), (13.0, tail), (14.0, content(" you"))).ttft_s == 3.0


def test_a_tool_call_is_content_and_a_thought_is_none() -> None:
    thought = b'data: {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}}]}\n\n'
    call = b'data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}\n\n'
    assert stream((11.0, ROLE), (12.0, thought), (13.0, call)).ttft_s == 3.0
    assert stream((11.0, ROLE), (12.0, thought)).ttft_s is None


def test_line_ends_and_comments_of_all_kinds_are_fine() -> None:
    said = (
        content("a").replace(b"\n", b"\r\n")
        + b": keep-alive\n\n"
        + b"event: message\nid: 1\n"
        + content("b")
        + b"data:[DONE]\r\n\r\n"
    )
    read = stream((11.0, said))
    assert (read.text, read.faults, read.events[-1].is_done) == ("ab", [], True)


def test_faults_name_lines() -> None:
    read = stream((11.0, ROLE[:-1] + content("a") + b"oops\n" + b"data: [DONE]\n"))
    before_second, in_fourth, after_last = read.faults
    assert "no blank line before line 2" in before_second
    assert "line 4" in in_fourth
    assert "no blank line after the last event" in after_last
    assert read.text == "a"


def test_what_is_no_chunk_is_read_past() -> None:
    for odd in (b"7", b"[]", b'{"choices": 7}', b'{"choices": [7]}', b'{"choices": [{"delta": 7, "index": "x"}]}', b"{", b"\xff"):
        assert stream((11.0, b"data: " + odd + b"\n\n" + content("a"))).text == "a"
