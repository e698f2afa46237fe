"""How many threads this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edge_autoglm.device.cgroup import MOUNT, OF_PROCESS, group_folders, read_text


def default_threads(cgroup_mount: Path = MOUNT, cgroup_of_process: Path = OF_PROCESS) -> int:
    """The CPUs that the process may run on, cut to the CPU time that its container grants; at least 1.

    More threads than that wait for each other instead of computing.

    Args:
        cgroup_mount: Where the control groups are mounted (versions 1 and 2).
        cgroup_of_process: Names the control group of this process.
    """
    folders = group_folders("cpu", cgroup_mount, cgroup_of_process)
    quotas = [quota for folder in folders for quota in _quota(folder)]
    return max(1, int(min([_affinity(), *quotas])))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(folder: Path) -> Iterator[float]:
    """CPUs' worth of time that a group grants, if it is limited."""
    quota, _, period = read_text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (read_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal() and int(period):
        yield int(quota) / int(period)
