"""The machine on which something is measured."""

import platform
import re
from pathlib import Path


def processor() -> str:
    """The CPU's name from /proc/cpuinfo, or else the machine type."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return models[0] if models else platform.machine()
