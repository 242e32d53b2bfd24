"""What a figure was measured on."""

import platform
import re
from pathlib import Path


def processor() -> str:
    """The processor's name, as Linux knows it."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return models[0] if models else platform.machine()
