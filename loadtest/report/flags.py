"""How the command that was run spells what a report advises: Locust's options, or those of `python -m loadtest.launch`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flags:
    longer: str
    rate: str
    is_launch: bool = False
    """It calls the embedded model, always in a ramp, and has none of Locust's other options."""


LOCUST = Flags("-t", "-r")
LAUNCH = Flags("--duration", "--rate", is_launch=True)
