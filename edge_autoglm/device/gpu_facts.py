"""What there is on this machine to run an engine on a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.device.accelerators import Accelerators, detect_accelerators
from edge_autoglm.device.tensorrt_import import LIBRARIES, TensorRT, load_tensorrt
from edge_autoglm.errors import MissingDependency

if TYPE_CHECKING:
    from edge_autoglm.device.packages import OrtBuild

_CUDA_PROVIDER = "onnxruntime_providers_cuda.dll" if sys.platform == "win32" else "libonnxruntime_providers_cuda.so"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """The GPU and the libraries that run engines on it.

    Attributes:
        accelerators: GPUs; an engine takes the first.
        onnxruntime: Installed builds.
        has_cuda_provider: Whether ONNX Runtime's CUDA provider is among their files.
        load_tensorrt: Imports a TensorRT library by name; raises ``MissingDependency``. Called only where there is a
            GPU and a plan for that library.
    """

    accelerators: Accelerators
    onnxruntime: tuple[OrtBuild, ...]
    has_cuda_provider: bool
    load_tensorrt: Callable[[str], TensorRT] = load_tensorrt


@dataclass(frozen=True, slots=True)
class TensorRTAnswer:
    """What an import of an installed library led to.

    Attributes:
        name: ``tensorrt`` or ``tensorrt_rtx``.
        version: ``None`` if the import failed.
        error: Why it failed.
    """

    name: str
    version: str | None = None
    error: str | None = None


def gpu_facts() -> GpuFacts:
    """Of this machine; neither ONNX Runtime nor TensorRT is imported."""
    from edge_autoglm.device.packages import onnxruntime_builds  # takes time that bundles for the CPU need not spend

    return GpuFacts(detect_accelerators(), tuple(onnxruntime_builds()), has_cuda_provider())


def has_cuda_provider() -> bool:
    """Whether the ONNX Runtime that this process would import has the files of its CUDA provider."""
    found = find_spec("onnxruntime")
    if found is None or found.origin is None:
        return False
    return (Path(found.origin).parent / "capi" / _CUDA_PROVIDER).exists()


def ask_tensorrt() -> tuple[TensorRTAnswer, ...]:
    """Import every TensorRT library that is installed."""
    return tuple(_answer(name) for name in LIBRARIES if find_spec(name) is not None)


def _answer(name: str) -> TensorRTAnswer:
    try:
        return TensorRTAnswer(name, load_tensorrt(name).version)
    except MissingDependency as error:
        return TensorRTAnswer(name, error=error.cause)
