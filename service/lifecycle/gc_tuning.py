"""Tunes garbage collection and malloc: first for a start that imports a million objects, then for serving."""

import contextlib
import ctypes
import gc

_M_ARENA_MAX = -8
"""Parameter number in glibc's `mallopt`."""
_UNKNOWN_C_LIBRARY = (OSError, AttributeError)


def for_start() -> None:
    """Turn garbage collection off until `settle`, as imported objects are not garbage, and use one malloc arena for all threads.

    By default glibc gives each thread its own arena, and no other thread can use the memory that is freed in it. Loading on a
    thread then took 40 MiB more. This does not change the engine's processes.
    """
    gc.disable()
    with contextlib.suppress(*_UNKNOWN_C_LIBRARY):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """Collect garbage once, exclude the remaining objects from later collections, and give free memory back to the system.

    The first call takes up to a second. Later collections skip the objects of the start, so they do not delay turns (vLLM does
    the same). New objects are collected as usual.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    with contextlib.suppress(*_UNKNOWN_C_LIBRARY):
        ctypes.CDLL(None).malloc_trim(0)


def for_serving() -> None:
    """Settle again once everything is loaded, and collect less often: tokens leave no reference cycles to find."""
    settle()
    gc.set_threshold(20_000, 20, 50)
