"""The control groups (Linux, versions 1 and 2) that limit this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OF_PROCESS = Path("/proc/self/cgroup")


def group_folders(controller: str, mount: Path = MOUNT, of_process: Path = OF_PROCESS) -> Iterator[Path]:
    """Folders of the process's groups for a controller and of all above them: each of them limits it.

    A container may see its group's path as the host names it, but its own files at the mount point; folders that are
    not there are for the caller to pass over (`read_text` gives an empty text for their files).

    Args:
        controller: ``cpu`` or ``memory``.
        mount: Where the control groups are mounted.
        of_process: Names the control groups of this process.
    """
    for line in read_text(of_process).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        group = Path(path.lstrip("/"))
        for root in (mount / controllers, mount / controller) if controllers else (mount,):
            yield from (root / part for part in (group, *group.parents))


def read_text(path: Path) -> str:
    """Content of a file of the kernel's; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
