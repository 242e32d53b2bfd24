"""Reports the changes of a file, once each change is stable.

It polls the file. A Kubernetes ConfigMap or Secret changes by a symlink in a parent folder, which a watch on the file itself
would not see.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

POLL_S = 1.0

_State = tuple[int, ...] | None
_NOT_READ_YET: _State = ()


async def changes(file: Path, *, poll_s: float = POLL_S) -> AsyncIterator[bool]:
    """Yield once for the present file, then after each change that has stayed for a whole poll interval. Never ends.

    Yields True for the first time, then False. A file that disappears is a change too.
    """
    reported = before = _NOT_READ_YET
    while True:
        now = await asyncio.to_thread(_state, file)
        if now == before and now != reported:
            yield reported == _NOT_READ_YET
            reported = now
        before = now
        await asyncio.sleep(poll_s)


def _state(file: Path) -> _State:
    """Return numbers that change when the file changes, also by a rename or a symlink. None if there is no file."""
    with contextlib.suppress(OSError):
        stat = file.stat()
        return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size
    return None
