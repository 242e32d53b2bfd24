"""A file followed while we serve: told of each change once it has settled.

By polling: a Kubernetes ConfigMap or Secret changes by a symlink further up, which no watch on the file itself would see.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

POLL_S = 1.0

_State = tuple[int, ...] | None
_NOT_LOOKED_YET: _State = ()


async def changes(file: Path, *, poll_s: float = POLL_S) -> AsyncIterator[bool]:
    """For ever: once as the file is found, then after each change of it that has been there for a whole poll.

    Yields whether this is the first look. A file that is gone has changed, too.
    """
    told = before = _NOT_LOOKED_YET
    while True:
        now = await asyncio.to_thread(_state, file)
        if now == before and now != told:
            yield told == _NOT_LOOKED_YET
            told = now
        before = now
        await asyncio.sleep(poll_s)


def _state(file: Path) -> _State:
    """What changes when the file does, also by a rename or a symlink; None while there is none."""
    with contextlib.suppress(OSError):
        stat = file.stat()
        return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size
    return None
