"""The process's memory: a start that imports a million objects, then a service whose tokens come and go by the thousand."""

import contextlib
import ctypes
import gc

_M_ARENA_MAX = -8
"""Of glibc's `mallopt`."""
_UNKNOWN_C_LIBRARY = (OSError, AttributeError)


def for_start() -> None:
    """Nothing of what is being imported is garbage: Python does not look for any until `settle`.

    One heap for all threads: glibc gives each its own, and what is freed in one no other can use. Loading on a thread took 40 MiB
    more by that. Engine processes are not touched.
    """
    gc.disable()
    with contextlib.suppress(*_UNKNOWN_C_LIBRARY):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """What there is now stays, and what importing it took goes back to the machine. Up to a second the first time.

    Collecting over it again and again would only stall turns (vLLM does the same). What comes after it is collected as usual.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    with contextlib.suppress(*_UNKNOWN_C_LIBRARY):
        ctypes.CDLL(None).malloc_trim(0)


def for_serving() -> None:
    """Once all is loaded. Tokens leave no cycles, and Python would look for some in them again and again."""
    settle()
    gc.set_threshold(20_000, 20, 50)
