from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState, detect_accelerators
from tests.device.machine import machine

GIB = 1024**3
OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  12\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
TEGRA = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


class Nvml:
    """NVML of a machine with one H100, as far as it is asked; stores its answers where a caller points."""

    def __init__(self, count: int = 1, status: int = 0, memory: int = 80 * GIB) -> None:
        self.count, self.status, self.memory = count, status, memory
        self.shut_down = 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's own name, as all below
        return self.status

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.shut_down += 1
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, length: Any) -> int:  # noqa: N802
        text.value = b"580.65.06"
        return 0

    def nvmlSystemGetCudaDriverVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13000
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:  # noqa: N802
        device._obj.value = 4096 + index.value
        return 0

    def nvmlDeviceGetName(self, device: Any, text: Any, length: Any) -> int:  # noqa: N802
        text.value = b"NVIDIA H100 80GB HBM3"
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total = self.memory
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, device: Any, major: Any, minor: Any) -> int:  # noqa: N802
        major._obj.value, minor._obj.value = 9, 0
        return 0


class Cuda:
    """The CUDA driver of a Jetson Orin, as far as it is asked."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuInit(self, flags: Any) -> int:  # noqa: N802
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 1
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12060
        return 0

    def cuDeviceGet(self, device: Any, index: Any) -> int:  # noqa: N802
        device._obj.value = index.value
        return 0

    def cuDeviceGetName(self, text: Any, length: Any, device: Any) -> int:  # noqa: N802
        text.value = b"Orin"
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:  # noqa: N802
        memory._obj.value = 8 * GIB
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 7}[attribute.value]
        return 0


def libraries(**present: Any) -> Callable[[str], Any]:
    """A loader that has these, by a part of their names."""

    def load(name: str) -> Any:
        for part, library in present.items():
            if part in name.replace("-", ""):
                return library
        raise OSError(f"{name}: cannot open shared object file")

    return load


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_none(tmp_path: Path) -> None:
    assert detect_accelerators(tmp_path, libraries()) == Accelerators(GpuState.NONE)


def test_nvml(tmp_path: Path) -> None:
    nvml = Nvml()
    found = detect_accelerators(tmp_path, libraries(ml=nvml))
    assert found == Accelerators(
        GpuState.READY, (Gpu("NVIDIA H100 80GB HBM3", 80 * GIB, "9.0"),), driver="580.65.06", cuda="13.0"
    )
    assert nvml.shut_down == 1


def test_memory_that_the_driver_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert detect_accelerators(tmp_path, libraries(ml=Nvml(memory=0))).gpus[0].memory is None


def test_a_jetson_without_nvml_is_asked_through_cuda(tmp_path: Path) -> None:
    root = machine(tmp_path, {"etc/nv_tegra_release": TEGRA, "proc/driver/nvidia/version": OPEN})
    assert detect_accelerators(root, libraries(cuda=Cuda())) == Accelerators(
        GpuState.READY, (Gpu("Orin", 8 * GIB, "8.7"),), driver="580.65.06", cuda="12.6", jetson="L4T 36.4.3"
    )


@pytest.mark.parametrize("nvml", [Nvml(status=9), Nvml(count=0), object()], ids=["does not start", "empty", "too old"])
def test_nvml_that_shows_nothing_is_not_the_last_word(tmp_path: Path, nvml: Any) -> None:
    assert detect_accelerators(tmp_path, libraries(ml=nvml, cuda=Cuda())).gpus[0].name == "Orin"
    assert detect_accelerators(tmp_path, libraries(ml=nvml)) == Accelerators(GpuState.NONE)


def test_gpus_that_are_hidden_from_cuda_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML shows them all the same."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    root = machine(tmp_path, {"proc/driver/nvidia/version": OPEN})
    none_left = libraries(ml=Nvml(), cuda=Cuda(status=100))  # CUDA_ERROR_NO_DEVICE
    assert detect_accelerators(root, none_left) == Accelerators(GpuState.NOT_VISIBLE, driver="580.65.06")
    assert detect_accelerators(root, libraries(ml=Nvml(), cuda=Cuda())).gpus[0].name == "Orin"


@pytest.mark.parametrize(("version", "driver"), [(OLD, "535.104.05"), (OPEN, "580.65.06"), ("odd\n", None)])
def test_a_container_without_its_gpu(tmp_path: Path, version: str, driver: str | None) -> None:
    root = machine(tmp_path, {"proc/driver/nvidia/version": version})
    expected = Accelerators(GpuState.NONE) if driver is None else Accelerators(GpuState.NOT_VISIBLE, driver=driver)
    assert detect_accelerators(root, libraries()) == expected


@pytest.mark.parametrize(
    ("vendor", "kind", "state"),
    [
        ("0x10de\n", "0x030200\n", GpuState.NO_DRIVER),
        ("0x10de\n", "0x040300\n", GpuState.NONE),  # the sound of a graphics card
        ("0x1002\n", "0x030000\n", GpuState.NONE),
    ],
)
def test_a_card_without_a_driver(tmp_path: Path, vendor: str, kind: str, state: GpuState) -> None:
    device = "sys/bus/pci/devices/0000-01-00.0/"
    root = machine(tmp_path, {device + "vendor": vendor, device + "class": kind})
    assert detect_accelerators(root, libraries()).state is state


def test_this_machine_answers_without_an_error() -> None:
    found = detect_accelerators()
    assert (found.state is GpuState.READY) == bool(found.gpus)


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="compares with nvidia-smi")
def test_nvidia_smi_says_the_same() -> None:
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    found = detect_accelerators(load=ctypes.CDLL)
    assert lines == [f"{gpu.name}, {gpu.compute_capability}, {found.driver}" for gpu in found.gpus]
