"""Names for turns and requests."""

import random


def new_id() -> str:
    """24 hex digits that nobody has had before. For telling apart, not for keeping secret: no system call for each, as `secrets`
    makes.
    """
    return f"{random.getrandbits(96):024x}"
