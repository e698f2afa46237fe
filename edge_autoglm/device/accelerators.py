"""Which NVIDIA GPUs there are and whether this process can use them, asked of the driver's own libraries."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from edge_autoglm.device.cgroup import read_text

_NVML, _CUDA = ("nvml.dll", "nvcuda.dll") if sys.platform == "win32" else ("libnvidia-ml.so.1", "libcuda.so.1")
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
_NAME_LENGTH = 96
_MAJOR, _MINOR = 75, 76
"""``CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`` and ``_MINOR`` of cuda.h."""

LoadLibrary = Callable[[str], Any]


class GpuState(Enum):
    """What stands between this process and an NVIDIA GPU."""

    READY = "ready"
    NONE = "none found"
    NO_DRIVER = "a GPU without a driver"
    NOT_VISIBLE = "a driver whose GPU or libraries this process does not see"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        name: As the driver names it.
        memory: Bytes; ``None`` where the driver does not say.
        compute_capability: ``9.0``; ``None`` where the driver does not say.
    """

    name: str
    memory: int | None
    compute_capability: str | None


@dataclass(frozen=True, slots=True)
class Accelerators:
    """All that was found.

    Attributes:
        state: Whether they can be used.
        gpus: In the driver's order.
        driver: Its version, if known.
        cuda: Newest CUDA version that the driver runs, if known.
        jetson: Release of the board's software, from ``/etc/nv_tegra_release``; ``None`` on anything but a Jetson.
    """

    state: GpuState
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    jetson: str | None = None


def detect_accelerators(root: Path = Path("/"), load: LoadLibrary = ctypes.CDLL) -> Accelerators:
    """Ask NVML, then CUDA (older Jetsons have no NVML), then look for traces of a GPU that neither shows.

    Where ``CUDA_VISIBLE_DEVICES`` is set, CUDA alone is asked: NVML also shows what that hides from this process.

    Args:
        root: Of the file system with ``proc``, ``sys`` and ``etc``.
        load: Opens a shared library by name; raises ``OSError`` where there is none.
    """
    driver, jetson = _kernel_driver(root), _jetson(root)
    asked = ((_NVML, _ask_nvml), (_CUDA, _ask_cuda))
    for library, ask in asked[1:] if "CUDA_VISIBLE_DEVICES" in os.environ else asked:
        try:
            gpus, version, cuda = ask(load(library))
        except (OSError, AttributeError):  # not there, or too old to have the function
            continue
        if gpus:
            return Accelerators(GpuState.READY, tuple(gpus), version or driver, cuda, jetson)
    if driver is not None or jetson is not None:
        return Accelerators(GpuState.NOT_VISIBLE, driver=driver, jetson=jetson)
    return Accelerators(GpuState.NO_DRIVER if _on_pci(root) else GpuState.NONE)


def why_no_gpu(found: Accelerators) -> tuple[str, str]:
    """What stands between this process and a GPU, and the cure; for a state other than ``READY``."""
    if found.state is GpuState.NO_DRIVER:
        return "there is an NVIDIA GPU without a driver", "Install NVIDIA's driver."
    if found.state is GpuState.NOT_VISIBLE:
        board = "" if found.jetson is None else f"; Jetson, {found.jetson}"
        return (
            f"NVIDIA's driver is loaded ({found.driver or 'version unknown'}){board}, but this process sees no GPU",
            "Start the container with its GPUs (docker run --gpus all), or look at CUDA_VISIBLE_DEVICES.",
        )
    return "no NVIDIA GPU was found", "Run it on a machine that has one, or on the CPU."


_Answer = tuple[list[Gpu], str | None, str | None]


def _ask_nvml(nvml: Any) -> _Answer:
    """GPUs, driver and CUDA version; nothing where NVML does not start."""
    if nvml.nvmlInit_v2() != 0:
        return [], None, None
    try:
        count, cuda = ctypes.c_uint(), ctypes.c_int()
        driver = ctypes.create_string_buffer(_NAME_LENGTH)
        nvml.nvmlSystemGetDriverVersion(driver, ctypes.c_uint(_NAME_LENGTH))
        nvml.nvmlSystemGetCudaDriverVersion(ctypes.byref(cuda))
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        return [_nvml_gpu(nvml, index) for index in range(count.value)], _text(driver), _cuda_version(cuda.value)
    finally:
        nvml.nvmlShutdown()


class _NvmlMemory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def _nvml_gpu(nvml: Any, index: int) -> Gpu:
    device, memory, major, minor = ctypes.c_void_p(), _NvmlMemory(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device))
    nvml.nvmlDeviceGetName(device, name, ctypes.c_uint(_NAME_LENGTH))
    nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    nvml.nvmlDeviceGetCudaComputeCapability(device, ctypes.byref(major), ctypes.byref(minor))
    return _gpu(name, memory.total, major.value, minor.value)


def _ask_cuda(cuda: Any) -> _Answer:
    if cuda.cuInit(ctypes.c_uint(0)) != 0:
        return [], None, None
    count, version = ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return [_cuda_gpu(cuda, index) for index in range(count.value)], None, _cuda_version(version.value)


def _cuda_gpu(cuda: Any, index: int) -> Gpu:
    device, memory, major, minor = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(index))
    cuda.cuDeviceGetName(name, ctypes.c_int(_NAME_LENGTH), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), ctypes.c_int(_MAJOR), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), ctypes.c_int(_MINOR), device)
    return _gpu(name, memory.value, major.value, minor.value)


def _gpu(name: ctypes.Array[ctypes.c_char], memory: int, major: int, minor: int) -> Gpu:
    """A failed question leaves its answer at zero: on some boards the memory is the machine's and NVML gives none."""
    return Gpu(_text(name) or "unnamed", memory or None, f"{major}.{minor}" if major else None)


def _text(buffer: ctypes.Array[ctypes.c_char]) -> str | None:
    return buffer.value.decode(errors="replace") or None


def _cuda_version(number: int) -> str | None:
    """13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else None


def _kernel_driver(root: Path) -> str | None:
    text = read_text(root / "proc/driver/nvidia/version")
    match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text)
    return match[1] if match else None


def _jetson(root: Path) -> str | None:
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", read_text(root / "etc/nv_tegra_release"))
    return f"L4T {match[1]}.{match[2]}" if match else None


def _on_pci(root: Path) -> bool:
    devices = (root / "sys/bus/pci/devices").glob("*")
    return any(
        read_text(device / "vendor").strip() == _NVIDIA and read_text(device / "class").startswith(_DISPLAY_CLASS)
        for device in devices
    )
