"""Writing a log line never blocks."""

import io
import threading

from service.telemetry.log_queue import QUEUE_LINES, LogQueue


class StuckStream(io.StringIO):
    """A pipe whose reader stops reading until `goes_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck = threading.Event()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.is_stuck.set()
        self.goes_on.wait()
        return super().write(text)


def test_lines_come_out_in_order() -> None:
    out = io.StringIO()
    sink = LogQueue(out)
    for number in range(100):
        sink.write(f"{number}\n")
    sink.close_within(5)
    assert out.getvalue() == "".join(f"{number}\n" for number in range(100))


def test_a_reader_that_does_not_read_costs_lines_and_nothing_else() -> None:
    out = StuckStream()
    sink = LogQueue(out)
    sink.write("line\n")
    assert out.is_stuck.wait(5)
    for _ in range(QUEUE_LINES + 5000):
        sink.write("line\n")
    out.goes_on.set()
    sink.close_within(10)
    written = out.getvalue()
    assert written.count("line\n") == 1 + QUEUE_LINES
    assert "(5000 log lines dropped)" in written


def test_a_broken_stream_is_no_error() -> None:
    broken = io.StringIO()
    broken.close()
    for stream in (broken, None):
        sink = LogQueue(stream)
        assert sink.write("line\n") == 5
        sink.flush()
        sink.close_within(5)
