"""How much memory there is, how much of it this process may have, and how much it has."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_autoglm.device.cgroup import group_folders, read_text

_ROOT = Path("/")


def physical_memory(root: Path = _ROOT) -> int | None:
    """Bytes of RAM in the machine; ``None`` where the system does not say.

    Args:
        root: Of the file system with ``proc`` and ``sys``, for all functions of this module.
    """
    total = _kilobytes(root / "proc/meminfo", "MemTotal")
    if total is not None:
        return total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # AttributeError on Windows
        return None


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes that this process could ever have: the RAM, cut to the limits of its control groups.

    A group's ``memory.high`` counts as a limit too: above it the kernel takes pages back all the time.
    """
    limits = [limit for folder in _groups(root) for limit in _limits(folder)]
    physical = physical_memory(root)
    known = limits if physical is None else [physical, *limits]
    return min(known, default=None)


def available_memory(root: Path = _ROOT) -> int | None:
    """Bytes that this process can allocate now without swapping, within the limits of its control groups.

    ``None`` where the system does not say (macOS and Windows keep it from the standard library).
    """
    free = _kilobytes(root / "proc/meminfo", "MemAvailable")
    rooms = [] if free is None else [free]
    for folder in _groups(root):
        rooms += (max(0, limit - _used(folder)) for limit in _limits(folder))
    return min(rooms, default=None)


def current_rss(root: Path = _ROOT) -> int | None:
    """Bytes of this process that are in RAM now; ``None`` where the system does not say."""
    return _kilobytes(root / "proc/self/status", "VmRSS")


def peak_rss(root: Path = _ROOT) -> int | None:
    """Most bytes of this process that were in RAM at once since it began.

    On Linux the kernel's high-water mark of this program: ``ru_maxrss`` starts at that of the process it was forked
    from. ``None`` where the system does not say.
    """
    peak = _kilobytes(root / "proc/self/status", "VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back_freed_memory() -> None:
    """Return pages that were freed, and that the C library keeps for later, to the system.

    glibc keeps what each thread freed in an arena of its own: a process that makes and ends threads, as one does that
    builds generations, grows by some tens of megabytes that nobody uses. Elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library, such as musl
        ctypes.CDLL(None).malloc_trim(0)


def _groups(root: Path) -> Iterator[Path]:
    return group_folders("memory", root / "sys/fs/cgroup", root / "proc/self/cgroup")


def _limits(folder: Path) -> Iterator[int]:
    """Limits of one group, if it has any; version 1 says "none" by a number near 2**63, which no machine reaches."""
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        text = read_text(folder / name).strip()
        if text.isdecimal():
            yield int(text)


def _used(folder: Path) -> int:
    """Bytes that a group holds and would not give back: cached file pages in no recent use are the kernel's to drop."""
    for usage, reclaimable in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        text = read_text(folder / usage).strip()
        if text.isdecimal():
            return max(0, int(text) - _statistic(folder / "memory.stat", reclaimable))
    return 0


def _statistic(file: Path, name: str) -> int:
    for line in read_text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return 0


def _kilobytes(file: Path, name: str) -> int | None:
    """A line like ``MemTotal:  24684096 kB`` of a file of ``/proc``, in bytes."""
    for line in read_text(file).splitlines():
        key, _, rest = line.partition(":")
        fields = rest.split()
        if key == name and len(fields) == 2 and fields[0].isdecimal() and fields[1] == "kB":
            return int(fields[0]) * 1024
    return None
