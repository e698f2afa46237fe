"""What the matrices of the standard graph become: by precision alone, or by a plan fitted to a text."""

from __future__ import annotations

from dataclasses import replace

from edge_autoglm.export.quantize.mixed import Rounding
from edge_autoglm.export.quantize.plain import PlainQuantizer, dense, half
from edge_autoglm.export.standard.forms import dequantized, store
from edge_autoglm.export.standard.rounding import round_rows
from edge_autoglm.export.weights import LINEARS, LayerWeights, Matrix

PLAIN = {"fp32": PlainQuantizer(dense), "fp16": PlainQuantizer(half), "int8": PlainQuantizer(round_rows)}
"""Precisions that need nothing but the weights."""


def _plain(weights: LayerWeights[Matrix]) -> LayerWeights[Matrix]:
    linears = {name: getattr(weights, name) for name in LINEARS}
    return replace(
        weights, **{name: replace(linear, weight=dequantized(linear.weight)) for name, linear in linears.items()}
    )


STANDARD_ROUNDING = Rounding(store, lambda values, form: round_rows(values), _plain)
"""Symmetric; embedding and head are int8 rows whatever a plan says. The text runs through what the levels stand for."""
