"""How many threads this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def default_threads(
    cgroup_mount: Path = Path("/sys/fs/cgroup"), cgroup_of_process: Path = Path("/proc/self/cgroup")
) -> int:
    """The CPUs that the process may run on, cut to the CPU time that its container grants; at least 1.

    More threads than that wait for each other instead of computing.

    Args:
        cgroup_mount: Where the control groups are mounted (versions 1 and 2).
        cgroup_of_process: Names the control group of this process.
    """
    quotas = [quota for folder in _folders(cgroup_mount, cgroup_of_process) for quota in _quota(folder)]
    return max(1, int(min([_affinity(), *quotas])))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(mount: Path, cgroup_of_process: Path) -> Iterator[Path]:
    """Folders of the process's CPU control groups and of all above them: each of them limits it.

    A container may see its group's path as the host names it, but its own files at the mount point; folders that are
    not there are passed over later.
    """
    for line in _read(cgroup_of_process).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = Path(path.lstrip("/"))
        for root in (mount / controllers, mount / "cpu") if controllers else (mount,):
            yield from (root / part for part in (group, *group.parents))


def _quota(folder: Path) -> Iterator[float]:
    """CPUs' worth of time that a group grants, if it is limited."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal() and int(period):
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
