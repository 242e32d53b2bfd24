"""The key file while we serve: read again after each change, without a gap for anybody whose key stays."""

import asyncio
from pathlib import Path

import structlog

from service.errors import StartError
from service.lifecycle.file_watch import POLL_S, changes
from service.telemetry.telemetry import Telemetry
from service.tenants.auth import KeyRing
from service.tenants.key_file import read_key_file

_log = structlog.get_logger("firstword.keys")


async def follow_key_file(file: Path, keys: KeyRing, telemetry: Telemetry, *, poll_s: float = POLL_S) -> None:
    """Keep the ring as the file is, for ever. A file that cannot be used leaves the keys as they were; an alert can tell."""
    async for is_first in changes(file, poll_s=poll_s):
        try:
            key_file = await asyncio.to_thread(read_key_file, file)
            if is_first and key_file == keys.key_file:  # As it was read at the start.
                continue
            keys.replace(key_file)
        except StartError as error:
            telemetry.key_file_reloaded(is_ok=False)
            _log.error("the key file cannot be used; keys stay as they are", reason=str(error))
            continue
        for tenant in keys.tenants:
            telemetry.add_tenant(tenant)
        telemetry.key_file_reloaded(is_ok=True)
        _log.info("key file loaded", keys=len(keys), tenants=len(keys.tenants))
