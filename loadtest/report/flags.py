"""Option names for the advice: those of Locust, or those of `python -m loadtest.launch`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flags:
    longer: str
    rate: str
    is_launch: bool = False
    """Whether `loadtest.launch` ran the test: a ramp against the embedded model, without Locust's other options."""


LOCUST = Flags("-t", "-r")
LAUNCH = Flags("--duration", "--rate", is_launch=True)
