"""What a hardened pod gets, made by bubblewrap: a read-only root, three places to write to, no capability, no user name."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

UID, GID = 54321, 0


def lacking(*more: str) -> list[str]:
    """What it needs and this machine has not."""
    missing = [tool for tool in ("bwrap", "nsenter", "setpriv", *more) if shutil.which(tool) is None]
    return missing if os.geteuid() == 0 else [*missing, "root"]


def sandbox(
    environment: Mapping[str, str],
    *,
    root: Sequence[str] = (),
    files: Sequence[str] = (),
    cache: Path | None = None,
    has_network: bool = False,
    folder: str = "/",
) -> list[str]:
    """The command line before the command. `root` and `files` are bubblewrap's arguments, for what is to be read; `cache` is
    the volume. Files come last, as a checkout may lie in /tmp.
    """
    line = ["bwrap", "--die-with-parent", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--clearenv"]
    line += [] if has_network else ["--unshare-net"]
    line += [*root, "--ro-bind", "/sys", "/sys", "--proc", "/proc", "--dev", "/dev"]
    line += ["--perms", "1777", "--tmpfs", "/dev/shm", "--perms", "1777", "--tmpfs", "/tmp"]
    line += ["--bind", str(cache), "/cache"] if cache else []
    line += [*files, "--remount-ro", "/", "--chdir", folder]
    for name, value in environment.items():
        line += ["--setenv", name, value]
    line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP", "--"]
    line += ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "--no-new-privs"]
    return [*line, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]


def in_network_of(pid: int) -> list[str]:
    """The command line before a command that calls a sandbox, which has only its own loopback."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]
