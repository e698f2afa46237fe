"""Smoothing changes no result of a layer, and makes 8-bit activations lose less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.calibration.statistics import gather_statistics
from edge_autoglm.export.families import describe
from edge_autoglm.export.quantize.mixed import store_layer
from edge_autoglm.export.quantize.rows import quantize_rows
from edge_autoglm.export.quantize.smooth import smooth
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import LINEARS, Array, Dense, LayerWeights, Linear, WeightReader, map_linears
from tests.checkpoints import write_tiny_llama


@pytest.fixture
def layer(tmp_path: Path) -> tuple[DecoderSpec, LayerWeights[Dense], Array]:
    """A layer with two outlier channels in its norms, and a residual stream for it."""
    checkpoint = open_checkpoint(str(write_tiny_llama(tmp_path)))
    spec = describe(checkpoint)
    weights = WeightReader(checkpoint, spec).layer(0)
    outliers = np.ones(spec.hidden_size, dtype=np.float32)
    outliers[[3, 40]] = 60.0
    weights = replace(weights, attention_norm=weights.attention_norm * outliers, mlp_norm=weights.mlp_norm * outliers)
    hidden = np.random.default_rng(0).standard_normal((6, 50, spec.hidden_size), dtype=np.float32)
    return spec, weights, hidden


def test_the_layer_computes_the_same(layer: tuple[DecoderSpec, LayerWeights[Dense], Array]) -> None:
    spec, weights, hidden = layer
    runner = LayerRunner(spec, 0, weights, 1)
    smoothed, seen = smooth(spec, weights, gather_statistics(runner, hidden))
    assert set(seen) == set(LINEARS)
    assert np.abs(smoothed.attention_norm / weights.attention_norm - 1).max() > 0.5
    expected, got = runner.advance(hidden), LayerRunner(spec, 0, smoothed, 1).advance(hidden)
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_inputs_that_it_returns_are_those_of_the_smoothed_layer(
    layer: tuple[DecoderSpec, LayerWeights[Dense], Array],
) -> None:
    spec, weights, hidden = layer
    smoothed, seen = smooth(spec, weights, gather_statistics(LayerRunner(spec, 0, weights, 1), hidden))
    again = gather_statistics(LayerRunner(spec, 0, smoothed, 1), hidden)
    for name in LINEARS:
        np.testing.assert_allclose(seen[name].largest, again[name].largest, rtol=1e-3)
        np.testing.assert_allclose(seen[name].sample, again[name].sample, rtol=1e-2, atol=1e-3)
        scale = np.abs(again[name].moments).max()
        assert np.abs(seen[name].moments - again[name].moments).max() < 1e-3 * scale


def test_outliers_cost_less_than_without(layer: tuple[DecoderSpec, LayerWeights[Dense], Array]) -> None:
    spec, weights, hidden = layer
    runner = LayerRunner(spec, 0, weights, 1)
    expected = runner.advance(hidden)

    def error(stored: LayerWeights) -> float:  # type: ignore[type-arg]
        return float(np.square(LayerRunner(spec, 0, stored, 1).advance(hidden) - expected).sum())

    plain = map_linears(weights, lambda _, linear: Linear(quantize_rows(linear.weight.values), linear.bias))
    smoothed = store_layer(spec, weights, dict.fromkeys(LINEARS, "w8a8"), gather_statistics(runner, hidden))
    assert error(smoothed) < 0.5 * error(plain)
