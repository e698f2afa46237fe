"""Rows decode together only where that surely gives the bits that each gets alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from edge_autoglm.export.build import Build
from edge_autoglm.export.families import describe
from edge_autoglm.export.quantize.forms import FormName
from edge_autoglm.export.quantize.mixed import MixedQuantizer, Plan
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from edge_autoglm.values import silent
from tests.checkpoints import VOCAB_SIZE, write_tiny_llama


def _engine(folder: Path, first: FormName, second: FormName) -> OrtEngine:
    checkpoint = open_checkpoint(str(write_tiny_llama(folder / "checkpoint")))
    spec = describe(checkpoint)
    windows = np.random.default_rng(0).integers(0, VOCAB_SIZE, (4, 60))
    rest: dict[str, FormName] = dict.fromkeys(("output", "gate_up", "down"), second)
    plan = Plan("int8", ({"qkv": second, **rest}, {"qkv": first, **rest}))
    Build(folder / "model.onnx", checkpoint, spec, "fp32", silent).write(MixedQuantizer(spec, plan, windows, 1))
    return OrtEngine.load(folder / "model.onnx", fingerprint="", context_length=64, slots=4, capacity=64, threads=1)


@pytest.mark.parametrize("forms", [("int4", "w8a8"), ("w8a8", "int4"), ("int4", "int8"), ("w8a8", "int8")])
def test_forty_steps_together_equal_those_alone(tmp_path: Path, forms: tuple[FormName, FormName]) -> None:
    engine = _engine(tmp_path, *forms)
    tokens = np.random.default_rng(1).integers(0, VOCAB_SIZE, (40, 2)).tolist()
    for first, second in tokens:
        together = engine.forward([Chunk(0, [first]), Chunk(1, [second])])
        alone = [engine.forward([Chunk(2, [first])])[0], engine.forward([Chunk(3, [second])])[0]]
        np.testing.assert_array_equal(together, alone)
