"""Whether the libraries are there that run engines on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.device.accelerators import GpuState
from edge_autoglm.device.checks import Check, note, ok
from edge_autoglm.device.host import HostFacts

CUDA_PROVIDER = "CUDAExecutionProvider"
_PIP = "python -m pip"


def check_gpu_libraries(facts: HostFacts) -> Iterator[Check]:
    """ONNX Runtime's CUDA provider, and TensorRT."""
    if len(facts.onnxruntime) < 2:  # what two builds leave of each other is a problem of its own
        yield _check_cuda(facts)
    yield from _check_tensorrt(facts)


def _check_cuda(facts: HostFacts) -> Check:
    builds = facts.onnxruntime
    name = f"{builds[0].name} {builds[0].version}" if builds else "ONNX Runtime"
    if CUDA_PROVIDER in facts.ort.providers:
        return ok("CUDA", f"{name} has the CUDA provider{_idle(facts)}")
    found = f"{name} has no CUDA provider"
    if facts.accelerators.state is not GpuState.READY:
        return ok("CUDA", found)
    uninstall = f"{_PIP} uninstall -y {builds[0].name} && " if builds else ""
    cure = f'To run bundles for GPUs with it: {uninstall}{_PIP} install "edge-autoglm[cuda]"'
    return note("CUDA", found, cure)


def _check_tensorrt(facts: HostFacts) -> Iterator[Check]:
    if not facts.tensorrt:
        yield ok("TensorRT", "not installed")
    for each in facts.tensorrt:
        if each.error is None:
            yield ok("TensorRT", f"{each.name} {each.version}{_idle(facts)}")
        else:
            cure = f"Install what it names, or take it away: {_PIP} uninstall -y {each.name}"
            yield note("TensorRT", f"{each.name} is installed and cannot be imported: {each.error}", cure)


def _idle(facts: HostFacts) -> str:
    return "" if facts.accelerators.state is GpuState.READY else ", and no GPU to run engines on"
