"""Identifiers for turns and requests."""

import random


def new_id() -> str:
    """Return a random identifier of 24 hex digits.

    It is not a secret, so it does not come from `secrets`, which would make a system call each time.
    """
    return f"{random.getrandbits(96):024x}"
