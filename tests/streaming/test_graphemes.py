"""Holdback: a stream is never split inside a grapheme, and no text is lost."""

import random
from itertools import pairwise

import pytest

from service.domain import TextDelta
from service.streaming.graphemes import Holdback

JOINER = "\u200d"
FLAG, OTHER_FLAG = "🇩🇪", "🇫🇷"
FAMILY = "👩‍👩‍👧‍👦"
SIGNS = [FLAG, OTHER_FLAG, FAMILY, "👩🏽‍🚀", "🏳️‍🌈", "❤️‍🔥", "a", " ", "é", "漢", "👍🏾", "\n", "क्‍ष"]


def passed(pieces: list[str], *, index: int = 0) -> list[str]:
    """Return what is sent for each piece, and what is released at the end."""
    holdback = Holdback()
    left = [holdback.pass_on(TextDelta(index, piece)) for piece in pieces]
    left.append(holdback.release(index))
    assert not holdback.is_holding
    return left


def is_cut_inside(before: str, after: str) -> bool:
    """Apply the Unicode rules: no break after a joiner that joins something, and none between the halves of a flag."""
    if not before or not after:
        return False
    if before.endswith(JOINER):
        return True
    indicators = len(before) - len(before.rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
    return indicators % 2 == 1 and "\U0001f1e6" <= after[0] <= "\U0001f1ff"


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        (["Hello", " you"], ["Hello", " you", ""]),
        (["🇩", "🇪"], ["", FLAG, ""]),
        (["in 🇩", "🇪!"], ["in ", f"{FLAG}!", ""]),
        ([f"{FLAG}🇫", "🇷"], [FLAG, OTHER_FLAG, ""]),
        (["🇩", "🇪🇫", "🇷"], ["", FLAG, OTHER_FLAG, ""]),
        (["🇩"], ["", "🇩"]),
        (["🇩", "x"], ["", "🇩x", ""]),
        (["👩‍", "🚀"], ["", "👩‍🚀", ""]),
        (["an 👩‍", "🚀."], ["an ", "👩‍🚀.", ""]),
        (["👩", "‍🚀"], ["👩", "‍🚀", ""]),  # The joiner came too late: the text before it was already sent.
        (["👩‍", "👩‍", "👧"], ["", "", "👩‍👩‍👧", ""]),
        (["👩‍"], ["", "👩‍"]),
        (["a 👩🏽‍", "🚀"], ["a ", "👩🏽‍🚀", ""]),  # The joiner holds back the skin tone and its base.
        (["❤️‍", "🔥"], ["", "❤️‍🔥", ""]),
        (["x क्‍", "ष"], ["x ", "क्‍ष", ""]),
        ([f"{FLAG}{JOINER}", "x"], ["", f"{FLAG}{JOINER}x", ""]),
        ([JOINER], ["", JOINER]),
        (["", "🇩", "", "🇪"], ["", "", "", FLAG, ""]),
    ],
    ids=ascii,
)
def test_what_leaves_and_when(pieces: list[str], left: list[str]) -> None:
    assert passed(pieces) == left


@pytest.mark.parametrize(
    "text", [f"a{FLAG}b", FLAG + OTHER_FLAG, f"{FAMILY}{FLAG}", FAMILY, "🏳️‍🌈", f"🇩{JOINER}🇪", JOINER * 3], ids=ascii
)
def test_split_in_two_at_every_place_the_text_comes_through(text: str) -> None:
    for place in range(len(text) + 1):
        assert "".join(passed([text[:place], text[place:]])) == text


def test_plain_text_is_never_held() -> None:
    holdback = Holdback()
    for piece in ("Hello", " Wörld", "\n", "漢字", "😀", "é"):
        assert holdback.pass_on(TextDelta(0, piece)) == piece
        assert not holdback.is_holding


def test_choices_do_not_mix() -> None:
    holdback = Holdback()
    assert holdback.pass_on(TextDelta(0, "🇩")) == ""
    assert holdback.pass_on(TextDelta(1, "🇫")) == ""
    assert holdback.pass_on(TextDelta(2, "plain")) == "plain"
    assert holdback.pass_on(TextDelta(1, "🇷")) == OTHER_FLAG
    assert holdback.is_holding
    assert holdback.release(0) == "🇩"
    assert holdback.release(1) == ""
    assert not holdback.is_holding


@pytest.mark.parametrize("seed", range(50))
def test_cut_anywhere_nothing_is_lost_and_no_sign_is_halved(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices(SIGNS, k=40))
    places = sorted(chance.sample(range(len(text) + 1), k=chance.randrange(1, len(text))))
    pieces = [text[start:end] for start, end in pairwise([0, *places, len(text)])]
    left = passed(pieces)
    assert "".join(left) == text
    for place in range(1, len(left)):
        assert not is_cut_inside("".join(left[:place]), "".join(left[place:]))


def test_a_text_that_joins_for_ever_is_not_waited_for() -> None:
    left = passed([f"👩{JOINER}"] * 100)
    assert len(left[-1]) <= 24
    assert "".join(left) == f"👩{JOINER}" * 100


@pytest.mark.parametrize("seed", range(20))
def test_only_an_unfinished_sign_is_held(seed: int) -> None:
    """Holding back more would add latency. Once a grapheme is whole and has no joiner, all of it is sent."""
    chance = random.Random(seed)
    holdback, given, out = Holdback(), "", ""
    for sign in chance.choices([sign for sign in SIGNS if sign not in (FLAG, OTHER_FLAG)], k=40):
        for char in sign:
            given += char
            out += holdback.pass_on(TextDelta(0, char))
            assert given.startswith(out)
            assert char == JOINER or out == given
