"""From a checkpoint to a graph with its weights, a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import ExportError
from edge_autoglm.export.calibration.kv_ranges import KVRanges
from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.dialect import Dialect, OrtDialect
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.weight_file import WeightFile
from edge_autoglm.export.plan import INT4_FORMS, FastestPlan, int4_plan, static_w8a8_plan, w8a8_plan
from edge_autoglm.export.quantize.forms import FormName
from edge_autoglm.export.quantize.mixed import MixedQuantizer, Plan
from edge_autoglm.export.quantize.plain import PlainQuantizer, dense, half, int8_blocks
from edge_autoglm.export.quantize.quantizer import Quantizer
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.forms import INT4_FORMS as STANDARD_INT4_FORMS
from edge_autoglm.export.standard.quantizer import PLAIN, STANDARD_ROUNDING
from edge_autoglm.export.weights import Linear, WeightReader
from edge_autoglm.values import Progress

_PLAIN = {"fp32": dense, "fp16": half, "int8": int8_blocks}
_SENSITIVITY_WINDOWS = 9
"""Eight to fit to and one to measure on."""
_KV_WINDOWS = 8
_MARGIN = 0.8
"""Of the budget of ``auto``, on calibration text: other text diverges more."""
_FIRST = 0.75
"""Of the budget, for the sum of divergences measured one by one: on SmolLM2-135M a sum of 0.025 came out as 0.025, one
of 0.05 beyond the margin."""
_LEAST = 0.01
"""Where a plan stays the same with the limit cut to this share of the budget, none keeps it; the proof will say so."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A text for what is fitted to one, and how to run it.

    Attributes:
        windows: Token ids ``[windows, tokens]``, two windows at least.
        threads: Of the runs.
        max_kl: Budget of ``auto``, in nats a token.
    """

    windows: npt.NDArray[np.int64]
    threads: int
    max_kl: float


@dataclass(frozen=True, slots=True)
class Build:
    """One graph to be written.

    Attributes:
        path: Of the ``.onnx`` file; the weights go beside it.
        checkpoint: Where the weights come from; one layer of it is in memory at a time.
        spec: Its description.
        kv: Of the KV cache: ``fp32``, ``fp16`` or ``int8``.
        progress: Stage ``weights``, in layers, the embedding and the head counting as one each.
        calibration: For the precisions and caches that need one.
    """

    path: Path
    checkpoint: Checkpoint
    spec: DecoderSpec
    kv: str
    progress: Progress
    calibration: Calibration | None = None

    def plain(self, precision: str) -> None:
        """Write the graph in ``fp32``, ``fp16`` or ``int8``."""
        self.write(PlainQuantizer(_PLAIN[precision]))

    def calibrated(self, precision: str, calibration: Calibration) -> Plan:
        """Write the graph in ``w8a8``, ``int4`` or ``auto``; returns the form of every matrix."""
        if precision == "auto":
            return self._fastest(calibration)
        plan = w8a8_plan(self.spec) if precision == "w8a8" else self._int4_plan(calibration, INT4_FORMS)
        self.write(MixedQuantizer(self.spec, plan, calibration.windows, calibration.threads))
        return plan

    def standard(self, dialect: StandardDialect) -> dict[str, str]:
        """Write the standard graph in the dialect's precision; returns how each group of matrices is stored.

        Raises:
            ExportError: The precision is fitted to a text, and there is none; or the KV cache is to be int8.
        """
        if dialect.precision in PLAIN:
            self.write(PLAIN[dialect.precision], dialect)
            return {"all matrices": dialect.precision}
        if self.calibration is None:
            raise ExportError(f"precision {dialect.precision!r} is fitted to a text", "Give a calibration text.")
        static = dialect.precision == "w8a8"
        plan = static_w8a8_plan(self.spec) if static else self._int4_plan(self.calibration, STANDARD_INT4_FORMS)
        windows, threads = self.calibration.windows, self.calibration.threads
        self.write(MixedQuantizer(self.spec, plan, windows, threads, STANDARD_ROUNDING), dialect)
        return plan.groups()

    def _int4_plan(self, calibration: Calibration, forms: Sequence[FormName]) -> Plan:
        windows = calibration.windows[-_SENSITIVITY_WINDOWS:]
        return int4_plan(self.spec, self._weights, windows, forms, calibration.threads, self.progress)

    def _fastest(self, calibration: Calibration) -> Plan:
        """Divergences of single matrices add up only roughly: build, measure the whole, correct the limit, repeat."""
        windows, threads, budget = calibration.windows, calibration.threads, calibration.max_kl
        measured = FastestPlan.measure(
            self.spec, self._weights, windows[-_SENSITIVITY_WINDOWS:], threads, self.progress
        )
        limit = _FIRST * budget
        plan = measured.within(limit)
        while True:
            self.write(MixedQuantizer(self.spec, plan, windows[:-1], threads))
            kl = measured.divergence_of(self.path, self._weights, windows[-1], threads)
            if kl <= _MARGIN * budget:
                return plan
            built, limit = plan, limit * 0.9 * _MARGIN * budget / kl
            while (plan := measured.within(limit)) == built:
                if limit <= _LEAST * budget:
                    return built
                limit *= 0.9

    def write(self, quantizer: Quantizer, dialect: Dialect | None = None) -> None:
        """Write the graph with the matrices that a quantiser makes; ONNX Runtime's where no dialect is given."""
        dialect = dialect or OrtDialect(self.kv)
        spec, steps = self.spec, self.spec.layers + 2
        with WeightFile(self.path.with_name(f"{self.path.name}.data")) as file:
            graph = GraphBuilder(file, dialect.opset)
            decoder = dialect.decoder(graph, spec)
            table = self._weights.embedding()
            ranges = self._kv_ranges(table)
            decoder.start(quantizer.table(table))
            del table  # by far the largest tensor of a small model
            for layer in range(spec.layers):
                self.progress("weights", layer + 1, steps)
                stored = quantizer.layer(layer, self._weights.layer(layer))
                decoder.layer(layer, stored, ranges.layer(layer, stored) if ranges else None)
            self.progress("weights", spec.layers + 1, steps)
            head = None if spec.tied_head else Linear(quantizer.head(self._weights.head()))
            decoder.finish(self._weights.final_norm(), head)
            graph.save(self.path, spec.family)
        self.progress("weights", steps, steps)

    def _kv_ranges(self, table: npt.NDArray[np.float32]) -> KVRanges | None:
        if self.kv != "int8" or self.calibration is None:
            return None
        windows, threads = self.calibration.windows[:_KV_WINDOWS], self.calibration.threads
        return KVRanges(self.spec, table, windows, threads)

    @property
    def _weights(self) -> WeightReader:
        return WeightReader(self.checkpoint, self.spec)
