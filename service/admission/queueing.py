"""How busy may a queue be in which few wait for long?"""

import math

_MOST_WORKS = 1000.0
"""A longer wait allows no more: the queue may be used all but wholly."""
_MOST_DECAY = 100.0
_HALVINGS = 20


def used_share(works: float, too_late: float) -> float:
    """The part of its time that a queue may be used so that the part `too_late` of all wait longer than `works` times the work
    of one (more than 0, less than 1); all are the same work, done one behind the other, and come by chance (M/D/1).

    Where the part x is used, the waits beyond w works are about c exp(-w y) of all, with y from x (exp(y) - 1) = y and
    c = (1 - x) / (x exp(y) - 1): the Cramér-Lundberg approximation (Asmussen, Applied Probability and Queues, 2003).
    It is exact for long waits; below the work of one, up to half as many again may wait longer. Never less than `too_late`: so
    few find anyone before them at all.
    """
    works = min(works, _MOST_WORKS)
    if works <= 0:
        return too_late
    least, most = 0.0, min(_MOST_DECAY, -math.log(too_late) / works)  # By Lundberg's inequality: c is at most 1.
    for _ in range(_HALVINGS):
        decay = (least + most) / 2
        if _waits_share(works, decay) > too_late:
            least = decay
        else:
            most = decay
    return max(too_late, _used(most))


def _used(decay: float) -> float:
    return decay / math.expm1(decay)


def _waits_share(works: float, decay: float) -> float:
    used = _used(decay)
    return (1 - used) / (used + decay - 1) * math.exp(-works * decay)
