"""Facts of machines, to be changed in one place and looked at."""

from __future__ import annotations

from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState
from edge_autoglm.device.cpu import Cpu
from edge_autoglm.device.host import HostFacts, Memory
from edge_autoglm.device.ort_import import OrtAnswer
from edge_autoglm.device.packages import Installed, OrtBuild
from edge_autoglm.device.requirements import Requirement

CPU_BUILD, GPU_BUILD = OrtBuild("onnxruntime", "1.32.0"), OrtBuild("onnxruntime-gpu", "1.31.0")
ANSWER = OrtAnswer("1.32.0", ("CPUExecutionProvider",), "Release")
H100 = Accelerators(GpuState.READY, (Gpu("NVIDIA H100", 80 * 10**9, "9.0"),), "580.65.06", "13.0")


def cpu(features: str | None = "avx2 avx512_vnni") -> Cpu:
    return Cpu("Some CPU", "x86_64", None if features is None else tuple(features.split()), 2, 4)


def installed(name: str, version: str | None, least: str, extra: str | None = None) -> Installed:
    return Installed(Requirement(name, ((">=", least),), extra), version)


WELL = HostFacts(
    python="3.11.7",
    version="0.1.0",
    cpu=cpu(),
    threads=2,
    memory=Memory(8 * 10**9, 4 * 10**9, 3 * 10**9),
    onnxruntime=(CPU_BUILD,),
    ort=ANSWER,
    requirements=(
        installed("numpy", "2.4.6", "1.26"),
        installed("onnxruntime", "1.32.0", "1.23", "cpu"),
        installed("onnxruntime-gpu", None, "1.23", "cuda"),
        installed("gguf", "0.19.0", "0.17", "export"),
        installed("pytest", None, "8", "test"),
    ),
    accelerators=Accelerators(GpuState.NONE),
)
"""A device on which nothing is to be said against."""
