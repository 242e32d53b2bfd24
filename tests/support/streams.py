"""Streams that run beside a fault: whatever happens to others, each comes to its proper end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.service_under_test import ServiceUnderTest, sse_events

STEPS = 80


@contextmanager
def undisturbed_streams(service: ServiceUnderTest, *, number: int = 4) -> Iterator[None]:
    """They begin before the scope's code and have ended whole when it is left."""
    answers: list[str] = []
    body = service.body("word " * STEPS, stream=True, max_tokens=STEPS)
    threads = [threading.Thread(target=lambda: answers.append(service.post(body).text)) for _ in range(number)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)
    assert len(answers) == number
    for answer in answers:
        assert len(sse_events(answer)) > STEPS
        assert sse_events(answer)[-1] == "[DONE]"
