"""Bundles of random weights in `w8a8` and `int4`, rounded to nearest.

Fitting them as the exporter does takes an hour at half a billion parameters and changes no speed: what counts is which
form a matrix has. `int4` draws the matrices that stay at 8 bits, up to the exporter's mean number of bits.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from edge_autoglm import Bundle
from edge_autoglm.bundle import BundleWriter
from edge_autoglm.export.build import Build
from edge_autoglm.export.families import describe
from edge_autoglm.export.plan import INT4_BITS, w8a8_plan
from edge_autoglm.export.quantize.forms import FormName, bits_a_weight, round_nearest, store_table
from edge_autoglm.export.quantize.mixed import Plan
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import (
    LINEARS,
    Array,
    Dense,
    LayerWeights,
    Linear,
    Matrix,
    Stacked,
    map_linears,
)
from edge_autoglm.values import silent


def write_random_bundle(checkpoint: Path, int8: Path, precision: str, out: Path) -> None:
    """Write the bundle of a checkpoint of random weights.

    Args:
        checkpoint: Its folder.
        int8: Its bundle in `int8`, which everything but the graph is taken from.
        precision: ``w8a8`` or ``int4``.
        out: Folder of the new bundle.
    """
    bundle = Bundle.open(int8)
    [entry] = bundle.manifest.engines
    with BundleWriter(out) as writer, closing(open_checkpoint(str(checkpoint))) as source:
        spec = describe(source)
        plan = w8a8_plan(spec) if precision == "w8a8" else random_int4_plan(spec)
        Build(writer.path(entry.graph), source, spec, "fp32", silent).write(NearestQuantizer(spec, plan))
        for file in bundle.manifest.files:
            if not file.path.startswith("engine/"):
                shutil.copyfile(int8 / file.path, writer.path(file.path))
        engine = replace(
            entry, precision=precision, groups=plan.groups(), notes=("rounded to nearest, for speed only",)
        )
        writer.commit(source=checkpoint.name, model=bundle.manifest.model, engines=(engine,))


class NearestQuantizer:
    """Carries a plan out without a text to fit to. Implements ``Quantizer``."""

    def __init__(self, spec: DecoderSpec, plan: Plan) -> None:
        self._spec = spec
        self._plan = plan

    def table(self, values: Array) -> Matrix:
        return store_table(values, self._plan.table)

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        forms = self._plan.layers[index]
        return map_linears(weights, lambda name, linear: Linear(self._stored(name, linear, forms), linear.bias))

    def head(self, values: Array) -> Matrix:
        return store_table(values, self._plan.table)

    def _stored(self, name: str, linear: Linear[Dense], forms: Mapping[str, FormName]) -> Matrix:
        weight = linear.weight.values
        if name not in forms:
            return linear.weight
        if name == "qkv" and forms[name].startswith("int4"):  # as the exporter: values stay at 8 bits
            first = len(weight) - self._spec.kv_size
            return Stacked((round_nearest(weight[:first], forms[name]), round_nearest(weight[first:], "int8")))
        return round_nearest(weight, forms[name])


def random_int4_plan(spec: DecoderSpec, seed: int = 0) -> Plan:
    """4-bit blocks of 64, and matrices at 8 bits drawn until the mean is the exporter's."""
    shapes = {
        "qkv": (spec.query_size + 2 * spec.kv_size, spec.hidden_size),
        "output": (spec.hidden_size, spec.query_size),
        "gate_up": (2 * spec.intermediate_size, spec.hidden_size),
        "down": (spec.hidden_size, spec.intermediate_size),
    }
    forms: list[dict[str, FormName]] = [dict.fromkeys(LINEARS, "int4") for _ in range(spec.layers)]
    elements = {name: rows * columns for name, (rows, columns) in shapes.items()}
    fine = {"qkv": spec.kv_size}
    cost = {name: bits_a_weight("int4", shape, fine.get(name, 0)) * elements[name] for name, shape in shapes.items()}
    spare = INT4_BITS * sum(elements.values()) * spec.layers - sum(cost.values()) * spec.layers
    units = [(layer, name) for layer in range(spec.layers) for name in LINEARS]
    for layer, name in random.Random(seed).sample(units, len(units)):
        extra = bits_a_weight("int8", shapes[name]) * elements[name] - cost[name]
        if extra <= spare:
            forms[layer][name] = "int8"
            spare -= extra
    return Plan("int8", tuple(forms))
