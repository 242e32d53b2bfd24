"""Garbage collection and malloc, tested in a separate process, as their settings apply to the whole process."""

import subprocess
import sys

SCRIPT = """
import gc, threading
from service.lifecycle import gc_tuning
gc_tuning.for_start()
assert not gc.isenabled()

def pieces():
    return [bytearray(100_000) for _ in range(500)]  # Too small to be mapped one by one.

def mapped_kib():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("Rss"))

before_kib = mapped_kib()
held = []
thread = threading.Thread(target=lambda: held.append(pieces()))
thread.start()
thread.join()
assert mapped_kib() - before_kib > 40_000
held.clear()
cycle = []
cycle.append(cycle)
del cycle
gc_tuning.settle()
assert mapped_kib() - before_kib < 10_000, "what is freed goes back to the machine"
assert gc.get_freeze_count() > 1000 and gc.isenabled()
gc_tuning.for_serving()
assert gc.get_threshold() == (20_000, 20, 50)
"""


def test_it_starts_without_collections_and_serves_with_few() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
