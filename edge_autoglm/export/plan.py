"""Which matrix gets which form, for the precisions that choose among several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.head_runner import ROWS, HeadRunner
from edge_autoglm.export.calibration.kernel_speed import product_times
from edge_autoglm.export.calibration.sensitivity import Sensitivity, divergences, measure_sensitivity
from edge_autoglm.export.quantize.allocate import allocate
from edge_autoglm.export.quantize.forms import FORMS, FormName, bits_a_weight, round_nearest, store_table
from edge_autoglm.export.quantize.mixed import Plan
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import LINEARS, Array, Dense, Linear, WeightReader
from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from edge_autoglm.values import Progress

INT4_BITS = 5.6
"""Mean bits a weight of the layers, scales included: with an 8-bit head, SmolLM2-135M is then 105 MB, the size of
llama.cpp's Q4_K_M of it."""
INT4_FORMS: tuple[FormName, ...] = ("int4", "int4/32", "int8")
"""Among which the precision ``int4`` chooses for ONNX Runtime."""

Unit = tuple[int, str]
_HEAD: Unit = (-1, "head")


def w8a8_plan(spec: DecoderSpec) -> Plan:
    """8-bit rows for all layers. The head has no norm of its own to fold a smoothing into, and stays in blocks."""
    rows: FormName = "w8a8"
    return Plan("int8", (dict.fromkeys(LINEARS, rows),) * spec.layers)


def static_w8a8_plan(spec: DecoderSpec) -> Plan:
    """For one activation scale a matrix, found beforehand: 8-bit activations behind a norm only.

    What the output and down projections multiply differs too much from token to token. On SmolLM2-135M the divergence
    is 0.17 or more with all four, and 0.018 with these two (2,048 tokens to fit to).
    """
    forms: Mapping[str, FormName] = {"qkv": "w8a8", "output": "int8", "gate_up": "w8a8", "down": "int8"}
    return Plan("int8", (forms,) * spec.layers)


def int4_plan(
    spec: DecoderSpec,
    weights: WeightReader,
    windows: npt.NDArray[np.int64],
    forms: Sequence[FormName],
    threads: int,
    progress: Progress,
) -> Plan:
    """4 and 8 bits mixed for the least divergence within a mean number of bits; 8-bit embedding and head.

    Args:
        spec: Of the model.
        weights: Of the model.
        windows: Token ids ``[windows, tokens]``; the last is measured on, the others are fitted to.
        forms: To choose from.
        threads: Of the runs.
        progress: Stage ``sensitivity``.
    """
    loss = measure_sensitivity(spec, weights, windows, forms, threads, progress).linears
    elements = {unit: rows * columns for unit, (rows, columns) in _matrices(spec)}
    bits = {
        unit: {form: bits_a_weight(form, shape, _fine_rows(spec, unit)) * elements[unit] for form in forms}
        for unit, shape in _matrices(spec)
    }
    chosen = allocate(loss, bits, INT4_BITS * sum(elements.values()))
    return Plan("int8", _by_layer(spec, chosen))


@dataclass(frozen=True, slots=True)
class FastestPlan:
    """What a choice for speed needs to know.

    Attributes:
        spec: Of the model.
        sensitivity: Of the model.
        seconds: Matrix -> form -> seconds a request.
    """

    spec: DecoderSpec
    sensitivity: Sensitivity
    seconds: Mapping[Unit, Mapping[FormName, float]]

    @classmethod
    def measure(
        cls, spec: DecoderSpec, weights: WeightReader, windows: npt.NDArray[np.int64], threads: int, progress: Progress
    ) -> FastestPlan:
        """Measure the model and this machine; arguments as in `int4_plan`, from all `FORMS`."""
        sensitivity = measure_sensitivity(spec, weights, windows, FORMS, threads, progress)
        head = (spec.vocab_size, spec.hidden_size)
        shapes = dict(_matrices(spec))
        times = product_times(shapes.values(), FORMS, round_nearest, threads, progress)
        [of_head] = product_times([head], FORMS, store_table, threads, progress).values()
        seconds = {unit: {form: times[shape][form].request for form in FORMS} for unit, shape in shapes.items()}
        seconds[_HEAD] = {form: of_head[form].request_of_head for form in FORMS}
        return cls(spec, sensitivity, seconds)

    def within(self, max_kl: float) -> Plan:
        """The forms with which a request is answered first while the divergences add up to ``max_kl`` at most."""
        loss = {**self.sensitivity.linears, _HEAD: self.sensitivity.head}
        chosen = allocate(self.seconds, loss, max_kl)
        table = chosen.pop(_HEAD)
        return Plan(table, _by_layer(self.spec, chosen))

    def divergence_of(self, graph: Path, weights: WeightReader, tokens: npt.NDArray[np.int64], threads: int) -> float:
        """Mean KL divergence of a built graph from the original on the window measured on, in nats a token."""
        head = weights.embedding() if self.spec.tied_head else weights.head()
        original = HeadRunner(self.spec, weights.final_norm(), Linear(Dense(head)), threads)
        engine = OrtEngine.load(
            graph,
            fingerprint="",
            context_length=self.spec.context_length,
            slots=1,
            capacity=len(tokens),
            threads=threads,
        )
        try:
            [kl] = divergences(original.logits(self.sensitivity.stream), [_logits(engine, tokens.tolist())])
        finally:
            engine.close()
        return kl


def _logits(engine: Engine, tokens: Sequence[int]) -> Iterator[Array]:
    for start in range(0, len(tokens), ROWS):
        chunk = tokens[start : start + ROWS]
        [logits] = engine.forward([Chunk(0, chunk, range(len(chunk)))])
        yield logits


def _matrices(spec: DecoderSpec) -> Iterator[tuple[Unit, tuple[int, int]]]:
    shapes = {
        "qkv": (spec.query_size + 2 * spec.kv_size, spec.hidden_size),
        "output": (spec.hidden_size, spec.query_size),
        "gate_up": (2 * spec.intermediate_size, spec.hidden_size),
        "down": (spec.hidden_size, spec.intermediate_size),
    }
    for layer in range(spec.layers):
        yield from (((layer, name), shape) for name, shape in shapes.items())


def _fine_rows(spec: DecoderSpec, unit: Unit) -> int:
    """Rows that stay at 8 bits whatever the form: the values."""
    return spec.kv_size if unit[1] == "qkv" else 0


def _by_layer(spec: DecoderSpec, chosen: Mapping[Unit, FormName]) -> tuple[Mapping[str, FormName], ...]:
    return tuple({name: chosen[layer, name] for name in LINEARS} for layer in range(spec.layers))
