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


class Sink:
    """A text stream (as far as loggers need one) whose `write` neither blocks nor raises."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(QUEUE_LINES)
        self._dropped = 0
        threading.Thread(target=self._write_out, name="log sink", daemon=True).start()

    def write(self, text: str) -> int:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing waits for a log line."""

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def close_within(self, timeout_s: float) -> None:
        """Give what is queued the time to be written, at the end of the process."""
        deadline = time.monotonic() + timeout_s
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write_out(self) -> None:
        while True:
            text = self._lines.get()
            if self._dropped:
                text, self._dropped = f"{text}({self._dropped} log lines dropped)\n", 0
            if self._stream is not None:
                with contextlib.suppress(OSError, ValueError):  # Closed, full, or nobody reads any more.
                    self._stream.write(text)
                    self._stream.flush()
            self._lines.task_done()
