"""What all engines share: arguments by name, and the completion tokens that the context leaves."""

from dataclasses import dataclass

import pytest

from service.engine.protocol import build_args, completion_room
from service.errors import PromptTooLong, StartError
from tests.support.factories import make_job


@dataclass(frozen=True)
class Args:
    max_model_len: int = 1
    seed: int = 0
    needed: str = "x"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("seed must not be negative")


@dataclass(frozen=True)
class NeedyArgs:
    model: str


def test_given_wins_over_our_default_and_that_over_the_fields_own() -> None:
    args = build_args(Args, {"max_model_len": 2, "seed": 2}, {"seed": 3})
    assert args == Args(max_model_len=2, seed=3, needed="x")


@pytest.mark.parametrize(
    ("name", "advice"), [("max_model_length", "; did you mean max_model_len?"), ("sed", "; did you mean seed?"), ("zzz", ".")]
)
def test_an_unknown_argument_is_refused_with_the_nearest_name(name: str, advice: str) -> None:
    with pytest.raises(StartError) as caught:
        build_args(Args, {}, {name: 1})
    message = str(caught.value)
    assert "FIRSTWORD_ENGINE_ARGS" in message and f"{name!r}" in message and message.endswith(advice)


def test_an_argument_that_the_class_refuses_is_a_start_error() -> None:
    with pytest.raises(StartError, match="FIRSTWORD_ENGINE_ARGS: seed must not be negative"):
        build_args(Args, {}, {"seed": -1})


def test_an_argument_that_is_missing_is_a_start_error() -> None:
    with pytest.raises(StartError, match=r"FIRSTWORD_ENGINE_ARGS: .*model"):
        build_args(NeedyArgs, {}, {})


@pytest.mark.parametrize(
    ("prompt_tokens", "max_tokens", "room"), [(40, None, 60), (40, 10, 10), (40, 60, 60), (40, 61, 60), (99, None, 1), (99, 5, 1)]
)
def test_an_answer_gets_what_was_asked_or_what_the_context_leaves(prompt_tokens: int, max_tokens: int | None, room: int) -> None:
    assert completion_room(make_job(max_tokens=max_tokens), prompt_tokens=prompt_tokens, max_model_len=100) == room


@pytest.mark.parametrize("prompt_tokens", [100, 101, 5000])
def test_a_prompt_that_leaves_no_room_is_refused_with_both_lengths(prompt_tokens: int) -> None:
    with pytest.raises(PromptTooLong, match=rf"\b100 tokens.*\b{prompt_tokens} tokens") as caught:
        completion_room(make_job(max_tokens=1), prompt_tokens=prompt_tokens, max_model_len=100)
    assert (caught.value.status, caught.value.param) == (400, "messages")
