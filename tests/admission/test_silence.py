"""How long a silence lasts, in which nobody may speak for the engine."""

from service.admission.silence import Silence


def test_an_idle_engine_is_not_silent() -> None:
    assert Silence().lasts_s(100.0) == 0


def test_it_counts_from_the_first_turn_and_from_each_step() -> None:
    silence = Silence()
    silence.busy(10.0)
    assert silence.lasts_s(12.0) == 2
    silence.stepped(13.0)
    assert silence.lasts_s(13.5) == 0.5
    silence.idle(13.5)
    silence.stepped(13.6)
    assert silence.lasts_s(100.0) == 0


def test_turns_that_are_given_up_and_come_again_do_not_end_it() -> None:
    silence = Silence()
    silence.busy(10.0)
    silence.idle(15.0)
    assert silence.lasts_s(50.0) == 5
    silence.busy(60.0)
    assert silence.lasts_s(62.0) == 7
    silence.stepped(63.0)
    assert silence.lasts_s(63.0) == 0
