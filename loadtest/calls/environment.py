"""The environment of a run: versions and machine of the client."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from loadtest.machine import processor
from service import __version__


def described(workers: int) -> dict[str, str | int | float]:
    """Describe the client for the record. `workers`: the number of processes that place calls."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "firstword": __version__,
        "locust": version("locust"),
        "python": platform.python_version(),
        "processor": processor(),
        "processors": os.cpu_count() or 1,
        "load_average": round(os.getloadavg()[0], 2),
        "processes_that_call": workers,
    }
