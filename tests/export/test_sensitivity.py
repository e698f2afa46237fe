"""Sensitivities point at the matrices that matter, and the layer-by-layer run is the whole model's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export.build import Build
from edge_autoglm.export.calibration.head_runner import HeadRunner
from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.calibration.sensitivity import measure_sensitivity
from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import LINEARS, Dense, LayerWeights, Linear, WeightReader
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from edge_autoglm.values import silent
from tests.checkpoints import VOCAB_SIZE, write_tiny_llama


@pytest.fixture
def model(tmp_path: Path) -> tuple[DecoderSpec, WeightReader]:
    checkpoint = open_checkpoint(str(write_tiny_llama(tmp_path)))
    spec = describe(checkpoint)
    return spec, WeightReader(checkpoint, spec)


WINDOWS = np.random.default_rng(0).integers(0, VOCAB_SIZE, (9, 40))


def test_layers_run_one_by_one_equal_the_engine(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(write_tiny_llama(tmp_path / "checkpoint")))
    spec = describe(checkpoint)
    Build(tmp_path / "model.onnx", checkpoint, spec, "fp32", silent).plain("fp32")
    engine = OrtEngine.load(tmp_path / "model.onnx", fingerprint="", context_length=64, slots=1, capacity=64, threads=1)
    expected = engine.forward([Chunk(0, WINDOWS[0].tolist(), range(40))])[0]
    weights = WeightReader(checkpoint, spec)
    hidden = weights.embedding()[WINDOWS[:1]]
    for layer in range(spec.layers):
        hidden = LayerRunner(spec, layer, weights.layer(layer), 1).advance(hidden)
    head = HeadRunner(spec, weights.final_norm(), Linear(Dense(weights.embedding())), 1)
    got = np.concatenate(list(head.logits(hidden)))
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


def test_finer_forms_diverge_less(model: tuple[DecoderSpec, WeightReader]) -> None:
    measured = measure_sensitivity(*model, WINDOWS, ("int4", "int4/32", "int8"), 1, silent)
    assert set(measured.linears) == {
        (layer, name) for layer in range(2) for name in ("qkv", "output", "gate_up", "down")
    }
    for by_form in (*measured.linears.values(), measured.head):
        assert 0 < by_form["int8"] < by_form["int4"] / 4


def test_a_layer_without_effect_is_insensitive(
    model: tuple[DecoderSpec, WeightReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second layer's results are scaled down to nothing: what its matrices lose cannot matter."""
    whole = WeightReader.layer

    def faint(self: WeightReader, index: int) -> LayerWeights[Dense]:
        weights = whole(self, index)
        if index == 0:
            return weights
        small = {name: Linear(Dense(getattr(weights, name).weight.values * 1e-3)) for name in ("output", "down")}
        return replace(weights, **small)

    monkeypatch.setattr(WeightReader, "layer", faint)
    measured = measure_sensitivity(*model, WINDOWS, ("int4",), 1, silent)
    first, second = (
        sum(measured.linears[layer, name]["int4"] for name in ("qkv", "output", "gate_up", "down"))
        for layer in range(2)
    )
    assert second < 1e-3 * first


def test_a_layer_of_zeros_is_insensitive(
    model: tuple[DecoderSpec, WeightReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = WeightReader.layer

    def empty(self: WeightReader, index: int) -> LayerWeights[Dense]:
        weights = whole(self, index)
        if index == 0:
            return weights
        zeros = {name: Linear(Dense(getattr(weights, name).weight.values * 0)) for name in LINEARS}
        return replace(weights, **zeros)

    monkeypatch.setattr(WeightReader, "layer", empty)
    measured = measure_sensitivity(*model, WINDOWS, ("int4", "int8"), 1, silent)
    assert all(measured.linears[1, name] == {"int4": 0.0, "int8": 0.0} for name in LINEARS)
