"""A benchmark's record: configuration, host, versions and every sample, so that a figure can be traced."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "records"
_PACKAGES = (
    "edge-autoglm",
    "onnxruntime",
    "numpy",
    "tokenizers",
    "llama-cpp-python",
    "onnxruntime-genai",
    "openvino-genai",
    "torch",
    "transformers",
)


def host() -> dict[str, Any]:
    """The machine and the packages that the figures depend on; no names of machines or people."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    flags = next((line.split(":", 1)[1].split() for line in _lines("/proc/cpuinfo") if line.startswith("flags")), [])
    return {
        "cpu": cpu,
        "cpu_features": sorted(flag for flag in flags if flag.startswith(("avx", "fma", "amx"))),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write(
    name: str,
    config: Mapping[str, Any],
    samples: Mapping[str, Sequence[float]],
    figures: Mapping[str, Any],
    folder: Path = FOLDER,
) -> Path:
    """Write ``NAME.json`` and return its path."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    medians = {key: statistics.median(values) for key, values in samples.items()}
    record = {"config": config, "host": host(), "medians": medians, "figures": figures, "samples": samples}
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
