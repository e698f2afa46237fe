"""Rewritten graphs, once a session each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx_ir", reason='onnx-ir is not installed: pip install "edge-autoglm[cpu,optimum]"')
pytest.importorskip("onnxruntime", reason='ONNX Runtime is not installed: pip install "edge-autoglm[cpu]"')


@pytest.fixture(scope="session")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``rewritten(variant, precision)``: the graph's path and what the rewriting says of it."""
    from tests.optimum.gpt_graph import Variant
    from tests.optimum.rewritten import write_rewritten

    made: dict[tuple[Variant, str], tuple[Path, Any]] = {}

    def get(variant: Variant, precision: str = "fp32") -> tuple[Path, Any]:
        if (variant, precision) not in made:
            made[variant, precision] = write_rewritten(tmp_path_factory.mktemp("rewritten"), variant, precision)
        return made[variant, precision]

    return get
