"""Callers of every kind, at one service at once: some are served, refused or limited, some are wrong, and some speak over it."""

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.live.conftest import SYSTEM_PROMPT
from tests.support.service_under_test import ServiceUnderTest

BARGE_IN_SHARE = 0.2
_PIECES_UNTIL_BARGE_IN = 4


class Callers:
    """`ttfts_s` are the times to the first content of every turn that had one, as the callers measured them."""

    def __init__(self, service: ServiceUnderTest, keys: list[str], limited_key: str) -> None:
        self._service = service
        self._keys = keys
        self._limited_key = limited_key
        self._lock = threading.Lock()
        self.ttfts_s: list[float] = []
        self.statuses: set[int] = set()
        self.barge_ins = 0

    def call(self, for_s: float, *, speaking: int) -> None:
        """`speaking` callers that hold conversations at once, and beside them one each of the others."""
        until_s = time.monotonic() + for_s
        jobs: list[Callable[[random.Random, httpx.Client], None]] = [self._converse] * speaking
        jobs += [self._go_wrong, self._exceed]
        with ThreadPoolExecutor(len(jobs)) as callers:
            for done in [callers.submit(self._repeat, job, number, until_s) for number, job in enumerate(jobs)]:
                done.result()

    def _repeat(self, job: Callable[[random.Random, httpx.Client], None], number: int, until_s: float) -> None:
        chance = random.Random(number)
        with httpx.Client(timeout=60) as client:
            while time.monotonic() < until_s:
                job(chance, client)

    def _converse(self, chance: random.Random, client: httpx.Client) -> None:
        """A call of a few turns, as a platform makes them: it ends where a turn is refused, for this or for a later time."""
        key = chance.choice(self._keys)
        messages = [{"role": "system", "content": SYSTEM_PROMPT}]
        for turn in range(3):
            messages.append({"role": "user", "content": f"{chance.random()} Tell me about item {turn}, please."})
            is_barge_in = chance.random() < BARGE_IN_SHARE
            said = self._turn(client, key, messages, max_tokens=chance.randint(12, 40), is_barge_in=is_barge_in)
            if said is None:
                time.sleep(chance.uniform(0.2, 1.0))
                return
            messages.append({"role": "assistant", "content": said or "…"})
            time.sleep(chance.uniform(0.2, 0.8))

    def _go_wrong(self, chance: random.Random, client: httpx.Client) -> None:
        body: dict[str, Any] = self._body([{"role": "user", "content": "Hi"}])
        self._send(client, self._keys[0], {**body, "temperature": "hot"})
        self._send(client, "not-a-key", body)
        time.sleep(chance.uniform(0.5, 1.0))

    def _exceed(self, chance: random.Random, client: httpx.Client) -> None:
        self._turn(client, self._limited_key, [{"role": "user", "content": "Hi"}], max_tokens=4)
        time.sleep(chance.uniform(0.5, 1.0))

    def _send(self, client: httpx.Client, key: str, body: dict[str, Any]) -> None:
        answer = client.post(f"{self._service.url}/v1/chat/completions", headers={"x-api-key": key}, json=body)
        with self._lock:
            self.statuses.add(answer.status_code)

    def _turn(
        self, client: httpx.Client, key: str, messages: list[dict[str, str]], *, max_tokens: int, is_barge_in: bool = False
    ) -> str | None:
        """What was heard; None where the turn was refused."""
        url, body = f"{self._service.url}/v1/chat/completions", self._body(messages, max_tokens=max_tokens)
        sent_s, heard = time.monotonic(), list[str]()
        with client.stream("POST", url, headers={"x-api-key": key}, json=body) as answer:
            with self._lock:
                self.statuses.add(answer.status_code)
            if answer.status_code != 200:
                answer.read()
                return None
            for line in answer.iter_lines():
                if text := _content(line):
                    if not heard:
                        self._first_word(time.monotonic() - sent_s)
                    heard.append(text)
                if is_barge_in and len(heard) == _PIECES_UNTIL_BARGE_IN:
                    with self._lock:
                        self.barge_ins += 1
                    break
        return "".join(heard)

    def _first_word(self, ttft_s: float) -> None:
        with self._lock:
            self.ttfts_s.append(ttft_s)

    def _body(self, messages: list[dict[str, str]], **fields: Any) -> dict[str, Any]:
        return {"model": self._service.model, "messages": messages, "stream": True, "ignore_eos": True, **fields}


def _content(line: str) -> str:
    data = line.removeprefix("data: ")
    if not data.startswith("{"):
        return ""
    return "".join(choice["delta"].get("content") or "" for choice in json.loads(data)["choices"])
