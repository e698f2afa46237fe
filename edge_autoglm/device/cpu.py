"""Which processor this is, and which instructions of it the kernels of an engine can use."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.device.cgroup import read_text

_LINUX_FLAGS = {
    "sse4_2": "sse4.2",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "neon": "neon",
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
    "sme2": "sme2",
}
"""Names in ``/proc/cpuinfo`` -> ours, in the order in which features are listed."""

_MAC_FLAGS = {
    "hw.optional.sse4_2": "sse4.2",
    "hw.optional.avx1_0": "avx",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.f16c": "f16c",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512bw": "avx512bw",
    "hw.optional.avx512dq": "avx512dq",
    "hw.optional.avx512vl": "avx512vl",
    "hw.optional.neon": "neon",
    "hw.optional.arm.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_FP16": "fp16",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
}

_ARM_PARTS = {
    "0x41:0xd03": "Cortex-A53",
    "0x41:0xd05": "Cortex-A55",
    "0x41:0xd07": "Cortex-A57",
    "0x41:0xd08": "Cortex-A72",
    "0x41:0xd0b": "Cortex-A76",
    "0x41:0xd0c": "Neoverse-N1",
    "0x41:0xd40": "Neoverse-V1",
    "0x41:0xd41": "Cortex-A78",
    "0x41:0xd42": "Cortex-A78AE",
    "0x41:0xd49": "Neoverse-N2",
    "0x41:0xd4f": "Neoverse-V2",
}
"""Implementer and part, as ``/proc/cpuinfo`` has them: 64-bit ARM kernels give no name."""

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor.

    Attributes:
        model: As the system names it, with its revision; ``unknown`` where it does not.
        architecture: ``x86_64``, ``aarch64`` ...
        features: Instruction sets that matter to kernels, in a fixed order; ``None`` where the system does not say.
        physical_cores: Without the second threads of a core; ``None`` where the system does not say.
        logical_cores: As the system schedules them.
    """

    model: str
    architecture: str
    features: tuple[str, ...] | None
    physical_cores: int | None
    logical_cores: int

    def has(self, *features: str) -> bool:
        """Whether it surely has one of the features."""
        return not set(features).isdisjoint(self.features or ())


def detect_cpu(root: Path = Path("/")) -> Cpu:
    """The processor at hand.

    Args:
        root: Of the file system with ``proc`` and ``sys``.
    """
    if sys.platform == "darwin":
        return parse_sysctl(_sysctl())
    info = read_text(root / "proc/cpuinfo")
    return _from_cpuinfo(info, root) if info else _unknown()


def cpu_identity(root: Path = Path("/")) -> str:
    """Model and features in one line: where it is the same, kernels give the same bits.

    It says "unknown" for what the system hides, so that two machines may look alike that are not: a key made of it
    must hold the version of ONNX Runtime as well, and is good on the device that made it.
    """
    cpu = detect_cpu(root)
    features = "features unknown" if cpu.features is None else " ".join(cpu.features)
    return f"{cpu.model}; {cpu.architecture}; {features}"


def _from_cpuinfo(text: str, root: Path) -> Cpu:
    fields = _fields(text)
    present = {flag for key in ("flags", "Features") for line in fields.get(key, ()) for flag in line.split()}
    return Cpu(
        model=_model(fields, text),
        architecture=platform.machine(),
        features=_named(present),
        physical_cores=_physical_cores(root),
        logical_cores=os.cpu_count() or 1,
    )


def _fields(text: str) -> dict[str, list[str]]:
    """Values by key, those of all processors: the cores of a phone's chip differ."""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip() not in fields.setdefault(key.strip(), []):
            fields[key.strip()].append(value.strip())
    return fields


def _model(fields: dict[str, list[str]], text: str) -> str:
    names = fields.get("model name") or _arm_names(text)
    revision = "/".join(value for key in ("cpu family", "model", "stepping") for value in fields.get(key, [])[:1])
    return " + ".join(names) + (f" ({revision})" if revision else "") if names else _UNKNOWN


def _arm_names(text: str) -> list[str]:
    parts = re.findall(r"^CPU implementer\s*: (\w+)$.*?^CPU part\s*: (\w+)$", text, re.MULTILINE | re.DOTALL)
    pairs = dict.fromkeys(f"{implementer}:{part}" for implementer, part in parts)
    return [_ARM_PARTS.get(pair, f"ARM {pair}") for pair in pairs]


def _named(present: Container[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ours for theirs, ours in _LINUX_FLAGS.items() if theirs in present))


def _physical_cores(root: Path) -> int | None:
    """Groups of hardware threads that share a core."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    cores = {read_text(file).strip() for file in files} - {""}
    return len(cores) or None


def _sysctl() -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "machdep.cpu.brand_string", "hw.physicalcpu", "hw.optional"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def parse_sysctl(text: str) -> Cpu:
    """The processor that macOS describes.

    Args:
        text: Lines ``name: value``.
    """
    values = dict(re.findall(r"^([\w.]+): (.*)$", text, re.MULTILINE))
    features = dict.fromkeys(ours for theirs, ours in _MAC_FLAGS.items() if values.get(theirs) == "1")
    cores = values.get("hw.physicalcpu", "")
    return Cpu(
        model=values.get("machdep.cpu.brand_string", _UNKNOWN),
        architecture=platform.machine(),
        features=tuple(features) if features else None,
        physical_cores=int(cores) if cores.isdecimal() else None,
        logical_cores=os.cpu_count() or 1,
    )


def _unknown() -> Cpu:
    """Windows and others: the standard library knows a name at best."""
    return Cpu(platform.processor() or _UNKNOWN, platform.machine(), None, None, os.cpu_count() or 1)
