"""SmoothQuant (Xiao et al. 2023): moves the outliers of activations into the weights that they meet.

Input channel j of a matrix is divided by ``s_j = max|X_j| ** alpha / max|W_j| ** (1 - alpha)`` and its column is
multiplied by it. The division is folded into whatever makes the channel (a norm, the value or the up projection), so
that nothing of it is left to do at run time. Alpha is chosen for each matrix by the error that is left on a sample of
its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge_autoglm.export.quantize.forms import InputStatistics
from edge_autoglm.export.quantize.rows import MAX_LEVEL, dequantize_rows, quantize_rows
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, Dense, LayerWeights, Linear

_ALPHAS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)


def smooth(
    spec: DecoderSpec, weights: LayerWeights[Dense], inputs: Mapping[str, InputStatistics]
) -> tuple[LayerWeights[Dense], dict[str, InputStatistics]]:
    """The same layer with smoother inputs to some of its matrices, and those inputs.

    Args:
        spec: Of the model.
        weights: Of the layer.
        inputs: Field of `LayerWeights` -> what it multiplied, for the matrices to smooth.
    """
    factors = {name: _best_factors(spec, name, seen, getattr(weights, name)) for name, seen in inputs.items()}
    if "qkv" in factors:
        weights = replace(
            weights,
            attention_norm=weights.attention_norm / factors["qkv"],
            qkv=_scale_columns(weights.qkv, factors["qkv"]),
        )
    if "gate_up" in factors:
        weights = replace(
            weights,
            mlp_norm=weights.mlp_norm / factors["gate_up"],
            gate_up=_scale_columns(weights.gate_up, factors["gate_up"]),
        )
    if "output" in factors:
        weights = _smooth_output(spec, weights, factors["output"])
    if "down" in factors:
        weights = replace(
            weights,
            gate_up=_divide_last_rows(weights.gate_up, factors["down"]),
            down=_scale_columns(weights.down, factors["down"]),
        )
    return weights, {name: seen.divided_by(factors[name]) for name, seen in inputs.items()}


def _smooth_output(spec: DecoderSpec, weights: LayerWeights[Dense], factors: Array) -> LayerWeights[Dense]:
    """What divides a value channel multiplies the columns of all the query heads of its group."""
    by_value = factors.reshape(spec.kv_heads, -1, spec.head_dim)[:, 0].reshape(-1)
    return replace(
        weights,
        qkv=_divide_last_rows(weights.qkv, by_value),
        output=_scale_columns(weights.output, factors),
    )


def _best_factors(spec: DecoderSpec, name: str, seen: InputStatistics, linear: Linear[Dense]) -> Array:
    weight = linear.weight.values
    expected = seen.sample @ weight.T
    best, least = np.ones(weight.shape[1], dtype=np.float32), np.inf
    for alpha in _ALPHAS:
        factors = _factors(seen.largest, weight, alpha)
        if name == "output":
            factors = _shared_by_groups(spec, factors)
        error = float(np.square(_quantized_product(seen.sample / factors, weight * factors) - expected).sum())
        if error < least:
            best, least = factors, error
    return best


def _quantized_product(inputs: Array, weight: Array) -> Array:
    """What the engine computes: 8-bit rows of the weights, 8-bit activations with a scale a token."""
    largest = np.maximum(np.abs(inputs).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    scale = largest / np.float32(MAX_LEVEL)
    rounded: Array = np.rint(inputs / scale) * scale
    return rounded @ dequantize_rows(quantize_rows(weight)).T


def _factors(largest: Array, weight: Array, alpha: float) -> Array:
    columns = np.abs(weight).max(axis=0)
    usable = (largest > 0) & (columns > 0)
    factors = np.ones_like(largest)
    np.divide(largest**alpha, columns ** (1 - alpha), out=factors, where=usable)
    # Beyond this a factor rescues nothing and only costs range elsewhere.
    np.clip(factors, 1e-4, 1e4, out=factors)
    return factors


def _shared_by_groups(spec: DecoderSpec, factors: Array) -> Array:
    """A value channel serves all the query heads of its group: they share the largest of their factors."""
    grouped = factors.reshape(spec.kv_heads, -1, spec.head_dim)
    return np.broadcast_to(grouped.max(axis=1, keepdims=True), grouped.shape).reshape(-1)


def _scale_columns(linear: Linear[Dense], factors: Array) -> Linear[Dense]:
    return Linear(Dense(linear.weight.values * factors), linear.bias)


def _divide_last_rows(linear: Linear[Dense], factors: Array) -> Linear[Dense]:
    """Divide the outputs that a joined projection has last: the values of qkv, the up half of gate and up."""
    ones = np.ones(len(linear.weight.values) - len(factors), dtype=np.float32)
    divisors = np.concatenate([ones, factors])
    bias = None if linear.bias is None else linear.bias / divisors
    return Linear(Dense(linear.weight.values / divisors[:, None]), bias)
