"""The machine and the package versions that figures depend on; no names of machines or people."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge_autoglm import __version__
from edge_autoglm.device.cpu import Cpu, detect_cpu
from edge_autoglm.device.threads import default_threads

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "nvidia-cuda-runtime", "numpy", "tokenizers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where figures were taken.

    Attributes:
        cpu: Model, features and cores of the processor.
        granted_threads: Those that affinity and container quota leave to this process.
        system: Operating system, its release and the machine type.
        governor: Frequency governor of the first processor; ``None`` where the system does not say.
        load_average: Of the last minute, before the benchmark began; ``None`` where the system does not say.
        versions: Of this package, Python, and the packages that do the work, where installed.
        taken_at: ISO 8601, UTC.
    """

    cpu: Cpu
    granted_threads: int
    system: str
    governor: str | None
    load_average: float | None
    versions: Mapping[str, str]
    taken_at: str

    @classmethod
    def here(cls) -> Host:
        """This machine, now."""
        return cls(
            cpu=detect_cpu(),
            granted_threads=default_threads(),
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            governor=_governor(),
            load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            versions={"edge-autoglm": __version__, "python": platform.python_version(), **_installed()},
            taken_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )


def _installed() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _governor() -> str | None:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text(encoding="ascii").strip()
    except OSError:
        return None
