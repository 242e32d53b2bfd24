"""Where log lines go: a bounded queue and a thread that writes it out.

A reader that stops, a closed pipe or a full disk must never hold up or fail a turn: a full queue drops lines, and says how
many once it can.
"""

import contextlib
import queue
import threading
import time
from typing import TextIO

QUEUE_LINES = 10_000
_GATHER_S = 0.02
"""After a line, for those that come with it: to wake the thread costs a turn more than to write its line."""


class LogQueue:
    """A text stream (as far as loggers need one) whose `write` neither blocks nor raises."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        # Not `queue.Queue`: its lock and its condition are Python, for the turn that writes.
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        self._dropped = 0
        threading.Thread(target=self._write_out, name="log sink", daemon=True).start()

    def write(self, text: str) -> int:
        if self._lines.qsize() < QUEUE_LINES:
            self._lines.put(text)
        else:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing waits for a log line."""

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def close_within(self, timeout_s: float) -> None:
        """Give what is queued the time to be written, at the end of the process."""
        is_written = threading.Event()
        self._lines.put(is_written)
        is_written.wait(timeout_s)

    def _write_out(self) -> None:
        while True:
            said = [self._lines.get()]
            time.sleep(_GATHER_S)
            said += [self._lines.get() for _ in range(self._lines.qsize())]  # Nobody else takes any.
            lines = [text for text in said if isinstance(text, str)]
            if self._dropped and lines:
                self._dropped, dropped = 0, self._dropped
                lines.append(f"({dropped} log lines dropped)\n")
            if self._stream is not None:
                with contextlib.suppress(OSError, ValueError):  # Closed, full, or nobody reads any more.
                    self._stream.write("".join(lines))
                    self._stream.flush()
            for is_written in said:
                if isinstance(is_written, threading.Event):  # All that came before it is out.
                    is_written.set()
