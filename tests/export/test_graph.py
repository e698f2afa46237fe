"""The fused graph against an independent NumPy Llama, through the engine that runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export import export_model
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.checkpoints import VOCAB_SIZE, write_tiny_llama
from tests.oracles import llama_numpy


def _engine(folder: Path, out: Path, precision: str) -> OrtEngine:
    bundle = export_model(folder, out, precision, proof=False)
    return OrtEngine.load(
        bundle.path(bundle.engine("ort").graph),
        fingerprint=bundle.fingerprint,
        context_length=bundle.manifest.model.context_length,
        slots=3,
        capacity=128,
        threads=2,
    )


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("int8", 0.05)])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_equal_the_numpy_oracle(tmp_path: Path, tied: bool, precision: str, tolerance: float) -> None:
    folder = write_tiny_llama(tmp_path / "checkpoint", seed=3, tied=tied)
    engine = _engine(folder, tmp_path / "bundle", precision)
    tokens = np.random.default_rng(5).integers(0, VOCAB_SIZE, 50).tolist()
    expected = llama_numpy.logits(open_checkpoint(str(folder)), tokens)
    scale = np.abs(expected).max()

    whole = engine.forward([Chunk(0, tokens, range(50))])[0]
    assert np.abs(whole - expected).max() / scale < tolerance

    engine.forward([Chunk(1, tokens[:30], ())])
    chunked = engine.forward([Chunk(1, tokens[30:], range(20))])[0]
    assert np.abs(chunked - expected[30:]).max() / scale < tolerance

    engine.forward([Chunk(2, tokens[:42], ())])
    decoded = np.concatenate([engine.forward([Chunk(2, [token])])[0] for token in tokens[42:]])
    assert np.abs(decoded - expected[42:]).max() / scale < tolerance


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    sizes = {}
    for tied in (True, False):
        folder = write_tiny_llama(tmp_path / f"checkpoint-{tied}", tied=tied)
        bundle = export_model(folder, tmp_path / f"bundle-{tied}", "int8", proof=False)
        sizes[tied] = bundle.path("engine/model.onnx.data").stat().st_size
    assert sizes[False] - sizes[True] >= VOCAB_SIZE * 64
