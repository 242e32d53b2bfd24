"""Reloads the key file after each change. A key that stays in the file is valid without interruption."""

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
    """Keep the key ring equal to the file. Does not return.

    A file that cannot be used leaves the keys as they are, and sets the metric `firstword_key_file_ok` to 0.
    """
    async for is_first in changes(file, poll_s=poll_s):
        try:
            key_file = await asyncio.to_thread(read_key_file, file)
            if is_first and key_file == keys.key_file:  # It has not changed since the start.
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
