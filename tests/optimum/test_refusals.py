"""Sources and settings that the path through Optimum refuses, before it needs any package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edge_autoglm.errors import ExportError, MissingDependency, NotAModel
from edge_autoglm.export.optimum.pipeline import export_through_optimum
from edge_autoglm.values import silent
from tests.checkpoints import write_tiny_llama


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(NotAModel, match="Pickled weights are never loaded"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "fp32", silent)


def test_a_precision_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"precision 'int4' .* fp32, int8"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "int4", silent)


@pytest.mark.skipif(importlib.util.find_spec("optimum") is not None, reason="Optimum is installed")
def test_missing_packages_are_named_with_the_extra_that_brings_them(tmp_path: Path) -> None:
    source = write_tiny_llama(tmp_path / "source")
    with pytest.raises(MissingDependency, match=r"needs the package \w+.*edge-autoglm\[cpu,optimum\]"):
        export_through_optimum(source, tmp_path / "model.onnx", "fp32", silent)
    assert not (tmp_path / "model.onnx").exists()
