"""How much a model's answers change when one of its matrices is stored in another form.

Every layer in turn is quantised alone and the change carried through the layers behind it to the logits: a KL
divergence a layer. Its share among the layer's matrices follows the squared change that each of them alone makes to the
residual stream behind the layer (to second order, the divergence is a quadratic form of that change). The pass streams:
one layer's weights are in memory, and all changed streams move through it together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.head_runner import HeadRunner
from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.calibration.statistics import gather_statistics
from edge_autoglm.export.proof.divergence import Divergence
from edge_autoglm.export.quantize.forms import FormName, InputStatistics, store_table
from edge_autoglm.export.quantize.mixed import store_layer
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import LINEARS, Array, Dense, LayerWeights, Linear, WeightReader
from edge_autoglm.values import Progress

_COARSEST: FormName = "int4"
"""The form in which a layer is measured as a whole: its divergence stands out from the noise."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Mean KL divergence from the original, in nats a token, with that one matrix in that form.

    Attributes:
        linears: (layer, field of `LayerWeights`) -> form -> divergence.
        head: Form -> divergence.
        stream: The original's residual stream behind the last layer on the probe window.
    """

    linears: Mapping[tuple[int, str], Mapping[FormName, float]]
    head: Mapping[FormName, float]
    stream: Array


def measure_sensitivity(
    spec: DecoderSpec,
    weights: WeightReader,
    windows: npt.NDArray[np.int64],
    forms: Sequence[FormName],
    threads: int,
    progress: Progress,
) -> Sensitivity:
    """Measure every matrix in every form.

    Args:
        spec: Of the model.
        weights: Of the model.
        windows: Token ids ``[windows, tokens]``; the last is measured on, the others are fitted to.
        forms: Which forms.
        threads: Of the runs.
        progress: Stage ``sensitivity``, in layers.
    """
    hidden = weights.embedding()[windows] * np.float32(spec.embedding_scale)
    changed: list[Array] = []
    energies: list[dict[str, dict[FormName, float]]] = []
    whole: list[float] = []
    for layer in range(spec.layers):
        progress("sensitivity", layer, spec.layers + 1)
        study = _LayerStudy(spec, layer, weights.layer(layer), hidden, threads)
        changed = [study.runner.advance(stream) for stream in changed]
        changed.append(study.changed(dict.fromkeys(LINEARS, _COARSEST)))
        whole.append(study.energy(changed[-1]))
        energies.append({n: {form: study.energy(study.changed({n: form})) for form in forms} for n in LINEARS})
        hidden = study.behind
    head = weights.embedding() if spec.tied_head else weights.head()
    runner = HeadRunner(spec, weights.final_norm(), Linear(Dense(head)), threads)
    original = hidden[-1:]
    by_layer = divergences(runner.logits(original), [runner.logits(stream) for stream in changed])
    linears = {
        (layer, name): {form: by_layer[layer] * _share(energy, whole[layer]) for form, energy in changes.items()}
        for layer, by_name in enumerate(energies)
        for name, changes in by_name.items()
    }
    heads = [HeadRunner(spec, weights.final_norm(), Linear(store_table(head, form)), threads) for form in forms]
    by_form = divergences(runner.logits(original), [other.logits(original) for other in heads])
    progress("sensitivity", spec.layers + 1, spec.layers + 1)
    return Sensitivity(linears, dict(zip(forms, by_form, strict=True)), original)


def _share(energy: float, whole: float) -> float:
    """Of a layer's change; a layer of zeros is changed by nothing."""
    return energy / whole if whole else 0.0


class _LayerStudy:
    """One layer, and what its forms change."""

    def __init__(
        self,
        spec: DecoderSpec,
        index: int,
        weights: LayerWeights[Dense],
        hidden: Array,
        threads: int,
    ) -> None:
        self._spec, self._index, self._weights, self._threads = spec, index, weights, threads
        self.runner = LayerRunner(spec, index, weights, threads)
        self._inputs: dict[str, InputStatistics] = gather_statistics(self.runner, hidden[:-1])
        self._probe = hidden[-1:]
        self.behind = self.runner.advance(hidden)

    def changed(self, forms: Mapping[str, FormName]) -> Array:
        """The probe window's stream behind the layer with some matrices quantised."""
        stored = store_layer(self._spec, self._weights, forms, self._inputs)
        return LayerRunner(self._spec, self._index, stored, self._threads).advance(self._probe)

    def energy(self, stream: Array) -> float:
        """Mean squared change relative to each token's own size, which is what the norms behind it see."""
        original = self.behind[-1:]
        change = np.square(stream - original).sum(axis=-1)
        return float(np.mean(change / np.square(original).sum(axis=-1)))


def divergences(original: Iterator[Array], others: Sequence[Iterator[Array]]) -> list[float]:
    """Mean KL divergence of the others' logits from the original's, in nats a token; all are read in step."""
    divergences = [Divergence() for _ in others]
    for expected, *got in zip(original, *others, strict=True):
        for divergence, logits in zip(divergences, got, strict=True):
            divergence.add(expected, logits, [0] * len(logits))  # the targets matter to the perplexity only
    return [divergence.figures().kl for divergence in divergences]
