"""What the ONNX Runtime at hand is too old for."""

from __future__ import annotations

import pytest

from edge_autoglm.device.accelerators import detect_accelerators

_CACHE_TYPES = (1, 32)
"""First version whose attention takes a cache in float16 or int8 on the CPU, as far as was tried: 1.23 does not."""

_OPSET_24 = (1, 31)
"""First version that knows all operators of the native standard graph, as far as was tried: 1.23 does not."""


def need_cache_type(kv: str) -> None:
    """Skip a test of a KV cache that this version does not know."""
    installed = _installed()
    if kv != "fp32" and _number(installed) < _CACHE_TYPES:
        pytest.skip(f"a KV cache in {kv} needs ONNX Runtime 1.32, this is {installed}")


def need_opset_24() -> None:
    """Skip a test of a native standard graph that this version does not know."""
    installed = _installed()
    if _number(installed) < _OPSET_24:
        pytest.skip(f"opset 24 needs ONNX Runtime 1.31, this is {installed}")


def need_cuda() -> None:
    """Skip a test of the CUDA provider where there is none, or no GPU."""
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    if not detect_accelerators().gpus:
        pytest.skip("there is no GPU")


def _installed() -> str:
    """Of whichever build is there."""
    return str(pytest.importorskip("onnxruntime").__version__)


def _number(installed: str) -> tuple[int, ...]:
    return tuple(map(int, installed.split(".")[:2]))
