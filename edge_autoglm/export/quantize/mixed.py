"""A model whose matrices have forms of their own, fitted to a calibration text layer by layer.

A layer is fitted to what reaches it through the layers before it as they were quantised, so that it meets in the engine
what it met here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.calibration.statistics import gather_statistics
from edge_autoglm.export.quantize.forms import FormName, InputStatistics, store, store_table
from edge_autoglm.export.quantize.smooth import smooth
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import (
    Array,
    BlockWeights,
    Dense,
    LayerWeights,
    Linear,
    Matrix,
    RowWeights,
    Stacked,
    map_linears,
)

Store = Callable[[Array, FormName, InputStatistics], BlockWeights | RowWeights]
"""From ``[out, in]`` weights, a form and what they multiply to the stored matrix."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The form of every matrix.

    Attributes:
        table: Of the embedding, and of the head.
        layers: Field of `LayerWeights` -> form, one mapping a layer.
    """

    table: FormName
    layers: tuple[Mapping[str, FormName], ...]

    def groups(self) -> dict[str, str]:
        """For people: which forms a group of matrices has, and in how many layers."""
        by_name = {name: _count([forms[name] for forms in self.layers]) for name in self.layers[0]}
        return {"embedding and head": self.table, **by_name}


@dataclass(frozen=True, slots=True)
class Rounding:
    """How one dialect of the graph stores what a plan asks for.

    Attributes:
        matrix: Quantises a matrix.
        table: Quantises the embedding, and the head.
        runnable: What the calibration text runs through in place of a stored layer, in ONNX Runtime's dialect.
    """

    matrix: Store
    table: Callable[[Array, FormName], Matrix]
    runnable: Callable[[LayerWeights[Matrix]], LayerWeights[Matrix]]


ORT_ROUNDING = Rounding(store, store_table, lambda stored: stored)


class MixedQuantizer:
    """Carries a plan out. Implements ``Quantizer``.

    A layer is fitted to what reaches it through the layers before it with their quantised weights.

    Args:
        spec: Of the model.
        plan: The forms.
        windows: Token ids of the calibration text, ``[windows, tokens]``.
        threads: Of the runs over the text.
        rounding: Of the graph's dialect.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        plan: Plan,
        windows: npt.NDArray[np.int64],
        threads: int,
        rounding: Rounding = ORT_ROUNDING,
    ) -> None:
        self._rounding = rounding
        self._spec = spec
        self._plan = plan
        self._windows = windows
        self._threads = threads
        self._hidden = np.empty(0, dtype=np.float32)

    def table(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        self._hidden = values[self._windows] * np.float32(self._spec.embedding_scale)
        return self._rounding.table(values, self._plan.table)

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        """See ``Quantizer``."""
        forms = self._plan.layers[index]
        inputs = gather_statistics(LayerRunner(self._spec, index, weights, self._threads), self._hidden)
        stored = store_layer(self._spec, weights, forms, inputs, self._rounding.matrix)
        runnable = self._rounding.runnable(stored)
        self._hidden = LayerRunner(self._spec, index, runnable, self._threads).advance(self._hidden)
        return stored

    def head(self, values: Array) -> Matrix:
        """See ``Quantizer``."""
        return self._rounding.table(values, self._plan.table)


def store_layer(
    spec: DecoderSpec,
    weights: LayerWeights[Dense],
    forms: Mapping[str, FormName],
    inputs: Mapping[str, InputStatistics],
    store: Store = store,
) -> LayerWeights[Matrix]:
    """Quantise the matrices of a layer that have a form; the others stay as they are.

    Args:
        spec: Of the model.
        weights: Of the layer.
        forms: Field of `LayerWeights` -> form.
        inputs: Field of `LayerWeights` -> what it multiplied.
        store: Quantises one matrix into a form.
    """
    smoothed, seen = smooth(spec, weights, {name: inputs[name] for name, form in forms.items() if form == "w8a8"})
    inputs = {**inputs, **seen}

    def quantized(name: str, linear: Linear[Dense]) -> Linear[Matrix]:
        if name not in forms:
            return Linear(linear.weight, linear.bias)
        weight, form = linear.weight.values, forms[name]
        if name == "qkv" and form.startswith("int4"):
            first = len(weight) - spec.kv_size
            return Linear(_with_fine_values(weight, first, form, inputs[name], store), linear.bias)
        return Linear(store(weight, form, inputs[name]), linear.bias)

    return map_linears(smoothed, quantized)


def _with_fine_values(weight: Array, first: int, form: FormName, inputs: InputStatistics, store: Store) -> Stacked:
    """Values at 8 bits: at 4 they alone cause as much loss as everything else together, with 3 % of the weights."""
    return Stacked((store(weight[:first], form, inputs), store(weight[first:], "int8", inputs)))


def _count(forms: Sequence[FormName]) -> str:
    kinds = sorted(set(forms))
    if len(kinds) == 1:
        return kinds[0]
    return ", ".join(f"{kind} in {forms.count(kind)} of {len(forms)} layers" for kind in kinds)
