"""repair: unpaired surrogates in JSON become U+FFFD, and everything else stays the same."""

import json
import random
import time

import pytest

from service.schema.surrogates import repair


@pytest.mark.parametrize(
    ("given", "repaired"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\ude00"', rb'"\ufffd"'),
        (rb'"\uD83Dx\uDE00"', rb'"\ufffdx\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\n\ude00"', rb'"\ufffd\n\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\ud83d\\ude00"', rb'"\ufffd\\ude00"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'{"\udfff": "\ud800"}', rb'{"\ufffd": "\ufffd"}'),
    ],
)
def test_half_a_character_is_replaced(given: bytes, repaired: bytes) -> None:
    assert repair(given) == repaired


@pytest.mark.parametrize(
    "body", [b"", b'"x"', rb'"\ud83d\ude00"', rb'"\\ud83d"', rb'"\u00e9\ud7ff\ue000"', b'"\xed\xa0\x80"', b"\\ud8"]
)
def test_what_has_no_half_is_none(body: bytes) -> None:
    assert repair(body) is None


def test_it_is_what_a_parser_would_have_replaced() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        pieces = [
            chance.choice([r"\ud83d", r"\ude00", r"\\", r"\n", r"\u0041", "ud83d", "x"]) for _ in range(chance.randrange(8))
        ]
        text = '"' + "".join(pieces) + '"'
        replaced = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in json.loads(text))
        assert json.loads(repair(text.encode()) or text) == replaced


@pytest.mark.parametrize(
    "piece", [b"\\", rb"\\u", rb"\ud83d", rb"\ud83d\ude00", b"[", b"\\" * 1000 + b"x"], ids=lambda piece: ascii(piece[:12])
)
def test_four_megabytes_take_no_time(piece: bytes) -> None:
    body = piece * (4 * 2**20 // len(piece))
    started = time.perf_counter()
    repair(body)
    assert time.perf_counter() - started < 5
