"""What the matrices of the standard graph become, by precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.calibration.statistics import gather_statistics
from edge_autoglm.export.quantize.mixed import Plan, store_layer
from edge_autoglm.export.quantize.plain import PlainQuantizer, dense, half
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.forms import dequantized, store
from edge_autoglm.export.standard.rounding import round_rows
from edge_autoglm.export.weights import LINEARS, Array, Dense, LayerWeights, Matrix

PLAIN = {"fp32": PlainQuantizer(dense), "fp16": PlainQuantizer(half), "int8": PlainQuantizer(round_rows)}
"""Precisions that need nothing but the weights."""


class CalibratedQuantizer:
    """Carries a plan out, fitted to a calibration text layer by layer. Implements ``Quantizer``.

    A layer is fitted to what reaches it through the layers before it with their quantised weights.

    Args:
        spec: Of the model.
        plan: The forms. Embedding and head are int8 rows whatever it says.
        windows: Token ids of the calibration text, ``[windows, tokens]``.
        threads: Of the runs over the text.
    """

    def __init__(self, spec: DecoderSpec, plan: Plan, windows: npt.NDArray[np.int64], threads: int) -> None:
        self._spec = spec
        self._plan = plan
        self._windows = windows
        self._threads = threads
        self._hidden = np.empty(0, dtype=np.float32)

    def table(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        self._hidden = values[self._windows] * np.float32(self._spec.embedding_scale)
        return round_rows(values)

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        """See ``Quantizer``."""
        forms = self._plan.layers[index]
        inputs = gather_statistics(LayerRunner(self._spec, index, weights, self._threads), self._hidden)
        stored = store_layer(self._spec, weights, forms, inputs, store)
        self._hidden = LayerRunner(self._spec, index, _plain(stored), self._threads).advance(self._hidden)
        return stored

    def head(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        return round_rows(values)


def _plain(weights: LayerWeights[Matrix]) -> LayerWeights[Matrix]:
    linears = {name: getattr(weights, name) for name in LINEARS}
    return replace(
        weights, **{name: replace(linear, weight=dequantized(linear.weight)) for name, linear in linears.items()}
    )
