"""What the ONNX Runtime at hand is too old for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

_CACHE_TYPES = (1, 32)
"""First version whose attention takes a cache in float16 or int8 on the CPU, as far as was tried: 1.23 does not."""


def need_cache_type(kv: str) -> None:
    """Skip a test of a KV cache that this version does not know."""
    try:
        installed = version("onnxruntime")
    except PackageNotFoundError:
        pytest.skip("ONNX Runtime is not installed")
    if kv != "fp32" and tuple(map(int, installed.split(".")[:2])) < _CACHE_TYPES:
        pytest.skip(f"a KV cache in {kv} needs ONNX Runtime 1.32, this is {installed}")
