"""The state that a device is in right now: battery, heat, load, memory."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from edge_autoglm.device.cgroup import read_text
from edge_autoglm.device.memory import available_memory, physical_memory

_ROOT = Path("/")
_FRESH_SECONDS = 5.0


def read_conditions(root: Path = _ROOT) -> dict[str, float]:
    """What the system says of itself; what it does not say is left out.

    - ``battery``: charge, 0..1, of the first battery; ``charging``: 1 while it is not discharging;
    - ``thermal``: temperature of the hottest zone, in units of 100 degrees Celsius;
    - ``load``: ``n / (1 + n)`` for ``n`` processes that run or wait, mean of a minute, for each core; within 0..1 like
      the others, or what was learnt in a busy minute would be far off in the next;
    - ``memory``: share of the RAM that can be allocated.

    Args:
        root: Of the file system with ``proc`` and ``sys``.
    """
    conditions = {**_battery(root), **_thermal(root), **_load(root)}
    available, physical = available_memory(root), physical_memory(root)
    if available is not None and physical:
        conditions["memory"] = available / physical
    return {name: round(value, 4) for name, value in conditions.items()}


class Conditions:
    """The conditions of this machine, read anew at most every few seconds. Thread-safe.

    Args:
        root: See `read_conditions`.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._read: tuple[float, dict[str, float]] | None = None

    def now(self) -> dict[str, float]:
        """As `read_conditions`."""
        with self._lock:
            if self._read is None or time.monotonic() - self._read[0] > _FRESH_SECONDS:
                self._read = time.monotonic(), read_conditions(self._root)
            return dict(self._read[1])


def _battery(root: Path) -> dict[str, float]:
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        charge = read_text(supply / "capacity").strip()
        if read_text(supply / "type").strip() == "Battery" and charge.isdecimal():
            status = read_text(supply / "status").strip()
            return {"battery": int(charge) / 100, "charging": float(status != "Discharging")}
    return {}


def _thermal(root: Path) -> dict[str, float]:
    texts = (read_text(zone / "temp").strip() for zone in (root / "sys/class/thermal").glob("thermal_zone*"))
    degrees = [int(text) / 1000 for text in texts if text.removeprefix("-").isdecimal()]
    return {"thermal": max(degrees) / 100} if degrees else {}


def _load(root: Path) -> dict[str, float]:
    fields = read_text(root / "proc/loadavg").split()
    try:
        waiting = float(fields[0]) / (os.cpu_count() or 1)
        return {"load": waiting / (1.0 + waiting)}
    except (IndexError, ValueError):  # not Linux
        return {}
