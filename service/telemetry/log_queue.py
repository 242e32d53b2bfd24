"""The output of log lines: a bounded queue, and a thread that writes its lines.

A reader that stops, a closed pipe or a full disk must never delay or fail a turn. A full queue drops lines, and reports their
number as soon as it can.
"""

import contextlib
import queue
import threading
import time
from typing import TextIO

QUEUE_LINES = 10_000
_GATHER_S = 0.02
"""Seconds to wait after a line for more lines. Waking the thread costs a turn more than writing its line."""


class LogQueue:
    """A text stream, as far as loggers need one. Its `write` neither blocks nor raises."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        # Not `queue.Queue`: its lock and condition are Python code, which the writing turn would pay for.
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
        """Do nothing: no caller waits for a log line."""

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def close_within(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` seconds until the queued lines are written. Call this at the end of the process."""
        is_written = threading.Event()
        self._lines.put(is_written)
        is_written.wait(timeout_s)

    def _write_out(self) -> None:
        while True:
            entries = [self._lines.get()]
            time.sleep(_GATHER_S)
            entries += [self._lines.get() for _ in range(self._lines.qsize())]  # Does not block: this is the only reader.
            lines = [text for text in entries if isinstance(text, str)]
            if self._dropped and lines:
                self._dropped, dropped = 0, self._dropped
                lines.append(f"({dropped} log lines dropped)\n")
            if self._stream is not None:
                with contextlib.suppress(OSError, ValueError):  # The stream is closed, the disk is full, or the reader is gone.
                    self._stream.write("".join(lines))
                    self._stream.flush()
            for is_written in entries:
                if isinstance(is_written, threading.Event):  # All earlier lines are written.
                    is_written.set()
