"""The real conversion of the embedded model: whole or not there, and noticed when damaged."""

import os
import subprocess
import sys
import time
from pathlib import Path

from service.engine.models.embedded import MODEL_NAME, is_intact

ENSURE = "from service.engine.models.embedded import ensure_embedded_model; print(ensure_embedded_model(print))"


def test_killed_damaged_and_whole(tmp_path: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    folder = tmp_path / "firstword" / "models" / MODEL_NAME

    with subprocess.Popen([sys.executable, "-c", ENSURE], env=env, start_new_session=True) as killed:
        while not list(folder.parent.glob(f".{MODEL_NAME}.*/{MODEL_NAME}")):
            assert killed.poll() is None
            time.sleep(0.01)
        time.sleep(3)
        os.killpg(killed.pid, 9)
    assert not folder.exists()

    said = subprocess.run([sys.executable, "-c", ENSURE], env=env, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == str(folder)
    assert is_intact(folder)

    unpacked = (folder / "config.json").stat().st_mtime_ns
    said = subprocess.run([sys.executable, "-c", ENSURE], env=env, capture_output=True, text=True, check=True).stdout
    assert said == f"{folder}\n"
    assert (folder / "config.json").stat().st_mtime_ns == unpacked

    with (folder / "model.safetensors").open("r+b") as weights:
        weights.seek(1_000_000)
        weights.write(b"\xff\x00\xff\x00")
    said = subprocess.run([sys.executable, "-c", ENSURE], env=env, capture_output=True, text=True, check=True).stdout
    assert "does not match its checksums" in said
    assert is_intact(folder)
