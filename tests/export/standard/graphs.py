"""Standard graphs of the tiny models of every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_autoglm.export.build import Build
from edge_autoglm.export.families import describe
from edge_autoglm.export.plan import static_w8a8_plan
from edge_autoglm.export.quantize.forms import FormName
from edge_autoglm.export.quantize.mixed import MixedQuantizer, Plan
from edge_autoglm.export.quantize.quantizer import Quantizer
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.quantizer import PLAIN, STANDARD_ROUNDING
from edge_autoglm.export.weights import LINEARS
from tests.oracles.family_cases import VOCAB_SIZE, Config, write_case


def quantizer_of(spec: DecoderSpec, precision: str) -> Quantizer:
    """What the exporter uses, but with 4 bits in all layers, and random tokens to fit to."""
    if precision in PLAIN:
        return PLAIN[precision]
    windows = np.random.RandomState(2).randint(0, VOCAB_SIZE, (3, 48)).astype(np.int64)
    form: FormName = "int4"
    int4 = Plan("int8", (dict.fromkeys(LINEARS, form),) * spec.layers)
    plan = static_w8a8_plan(spec) if precision == "w8a8" else int4
    return MixedQuantizer(spec, plan, windows, 1, STANDARD_ROUNDING)


def write_graph(
    path: Path,
    config: Config,
    dialect: StandardDialect,
    quantizer: Callable[[DecoderSpec], Quantizer] | None = None,
) -> Path:
    """Write the graph to ``path``; by default with what the dialect's precision stores."""
    return write_standard(path, write_case(path.with_suffix(""), config), dialect, quantizer)


def write_standard(
    path: Path,
    source: Path,
    dialect: StandardDialect,
    quantizer: Callable[[DecoderSpec], Quantizer] | None = None,
) -> Path:
    """As `write_graph`, of a checkpoint on disk."""
    checkpoint = open_checkpoint(str(source))
    spec = describe(checkpoint)
    chosen = quantizer_of(spec, dialect.precision) if quantizer is None else quantizer(spec)
    Build(path, checkpoint, spec, "fp32", lambda *_: None).write(chosen, dialect)
    checkpoint.close()
    return path
