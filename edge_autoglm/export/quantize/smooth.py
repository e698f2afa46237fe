"""SmoothQuant (Xiao et al. 2023): moves the outliers of activations into the weights that they meet.

Input channel j of a matrix is divided by ``s_j = max|X_j| ** alpha / max|W_j| ** (1 - alpha)`` and its column is
multiplied by it. The division is folded into whatever makes the channel (a norm, the value or the up projection), so
that nothing of it is left to do at run time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, Dense, LayerWeights, Linear

ALPHA = 0.6


def smooth(
    spec: DecoderSpec, weights: LayerWeights[Dense], largest: Mapping[str, Array], linears: Collection[str]
) -> LayerWeights[Dense]:
    """The same layer with smoother inputs to some of its matrices.

    Args:
        spec: Of the model.
        weights: Of the layer.
        largest: Field of `LayerWeights` -> absolute maximum of each input channel ``[in]`` on a calibration text.
        linears: Which matrices to smooth.
    """
    factors = {name: _factors(largest[name], getattr(weights, name).weight.values) for name in linears}
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
    return weights


def _smooth_output(spec: DecoderSpec, weights: LayerWeights[Dense], wanted: Array) -> LayerWeights[Dense]:
    """A value channel serves all the query heads of its group: they share the largest of their factors."""
    group = spec.heads // spec.kv_heads
    shared = wanted.reshape(spec.kv_heads, group, spec.head_dim).max(axis=1)
    spread = np.repeat(shared[:, None], group, axis=1).reshape(-1)
    return replace(
        weights,
        qkv=_divide_last_rows(weights.qkv, shared.reshape(-1)),
        output=_scale_columns(weights.output, spread),
    )


def _factors(largest: Array, weight: Array) -> Array:
    columns = np.abs(weight).max(axis=0)
    usable = (largest > 0) & (columns > 0)
    powers = np.ones_like(largest)
    np.divide(largest**ALPHA, columns ** (1 - ALPHA), out=powers, where=usable)
    # Beyond this a factor rescues nothing and only costs range elsewhere.
    factors: Array = np.clip(powers, 1e-4, 1e4).astype(np.float32)
    return factors


def _scale_columns(linear: Linear[Dense], factors: Array) -> Linear[Dense]:
    return Linear(Dense(linear.weight.values * factors), linear.bias)


def _divide_last_rows(linear: Linear[Dense], factors: Array) -> Linear[Dense]:
    """Divide the outputs that a joined projection has last: the values of qkv, the up half of gate and up."""
    ones = np.ones(len(linear.weight.values) - len(factors), dtype=np.float32)
    divisors = np.concatenate([ones, factors])
    bias = None if linear.bias is None else linear.bias / divisors
    return Linear(Dense(linear.weight.values / divisors[:, None]), bias)
