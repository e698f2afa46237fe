"""Quantised standard graphs compute what their stored levels stand for, and store them tightly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto

from edge_autoglm.errors import ExportError
from edge_autoglm.export.build import Build, Calibration
from edge_autoglm.export.families import describe
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.quantize.quantizer import Quantizer
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.decoder import StandardDecoder
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.forms import dequantized
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName
from edge_autoglm.export.standard.native import NativeLowering
from edge_autoglm.export.standard.typed import TypedGraph
from edge_autoglm.export.weights import LINEARS, Array, Dense, LayerWeights, Linear, Matrix, map_linears
from tests.export.standard.graphs import quantizer_of, write_graph
from tests.export.standard.runner import CAPACITY, StandardRunner, opset
from tests.oracles.family_cases import CASES, VOCAB_SIZE, token_ids, write_case

_NAMES = ("llama", "qwen2", "glm4", "gemma3")
"""With and without biases, own heads, sandwich norms; `glm4` joins gate and up in the checkpoint."""
_BITS = {TensorProto.INT4: 4, TensorProto.INT8: 8, TensorProto.FLOAT16: 16, TensorProto.FLOAT: 32}


class _Dequantizing:
    """What a quantiser stores, as plain numbers. Implements ``Quantizer``."""

    def __init__(self, quantizer: Quantizer) -> None:
        self._quantizer = quantizer

    def table(self, values: Array) -> Matrix:
        return dequantized(self._quantizer.table(values))

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        stored = self._quantizer.layer(index, weights)
        linears = {name: getattr(stored, name) for name in LINEARS}
        plain = {name: Linear(dequantized(linear.weight), linear.bias) for name, linear in linears.items()}
        return map_linears(stored, lambda name, _: plain[name])  # type: ignore[arg-type]

    def head(self, values: Array) -> Matrix:
        return dequantized(self._quantizer.head(values))


class _Full(StandardDialect):
    """Products in float32 whatever the precision, so that rounding hides nothing."""

    def decoder(self, graph: GraphBuilder, spec: DecoderSpec) -> StandardDecoder:
        typed = TypedGraph(graph, half=False)
        return StandardDecoder(typed, NativeLowering(typed, spec.head_dim), spec, self.capacity)


def _dequantizing(precision: str) -> Callable[[DecoderSpec], Quantizer]:
    return lambda spec: _Dequantizing(quantizer_of(spec, precision))


def _logits(graph: Path) -> npt.NDArray[np.float32]:
    return StandardRunner(graph).in_chunks(token_ids()[0], [25, 40])


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "int8") for name in _NAMES), ("qwen2", "int4"), ("glm4", "int4")]
)
def test_quantised_weights_give_the_logits_of_the_numbers_that_they_stand_for(
    name: str, precision: str, tmp_path: Path
) -> None:
    quantized = write_graph(tmp_path / "q.onnx", CASES[name], _Full("native", precision, CAPACITY))
    plain = write_graph(tmp_path / "p.onnx", CASES[name], _Full("native", "fp32", CAPACITY), _dequantizing(precision))
    expected = _logits(plain)
    np.testing.assert_allclose(_logits(quantized), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_half_products_of_quantised_weights_are_close_to_full_ones(
    precision: str, lowering: LoweringName, tmp_path: Path
) -> None:
    half = _logits(write_graph(tmp_path / "h.onnx", CASES["qwen3"], StandardDialect(lowering, precision, CAPACITY)))
    full = _logits(write_graph(tmp_path / "f.onnx", CASES["qwen3"], _Full("native", precision, CAPACITY)))
    np.testing.assert_allclose(half, full, rtol=0, atol=1e-2 * np.abs(full).max())


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_integer_activations_keep_most_of_what_a_random_model_says(lowering: LoweringName, tmp_path: Path) -> None:
    """Random layers amplify rounding: 13 % of the logits' spread was measured; unrelated logits differ by 141 %."""
    quantized = _logits(write_graph(tmp_path / "q.onnx", CASES["llama"], StandardDialect(lowering, "w8a8", CAPACITY)))
    expected = _logits(write_graph(tmp_path / "p.onnx", CASES["llama"], StandardDialect(lowering, "fp32", CAPACITY)))
    spread = np.sqrt(np.square(quantized - expected).mean()) / expected.std()
    assert 1e-3 < spread < 0.2


@pytest.mark.parametrize(("precision", "types"), [("int8", {"INT8"}), ("w8a8", {"INT8"}), ("int4", {"INT8", "INT4"})])
def test_quantisation_is_explicit(precision: str, types: set[str], tmp_path: Path) -> None:
    path = write_graph(tmp_path / "q.onnx", CASES["llama"], StandardDialect("native", precision, CAPACITY))
    graph = onnx.load(path, load_external_data=False).graph
    stored = {tensor.name: TensorProto.DataType.Name(tensor.data_type) for tensor in graph.initializer}
    readers = {name: node.op_type for node in graph.node for name in node.input if stored.get(name) in types}
    zeros = {"int8.zero": "QuantizeLinear"} if precision == "w8a8" else {}
    assert readers == dict.fromkeys(readers, "DequantizeLinear") | zeros
    assert {stored[name] for name in readers} == types
    matrices = [
        t for t in graph.initializer if t.data_type in (TensorProto.FLOAT16, TensorProto.FLOAT) and _is_matrix(t)
    ]
    assert matrices == []
    products = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(products) == (2 * 3 if precision == "w8a8" else 0)


def _is_matrix(tensor: TensorProto) -> bool:
    return tensor.name.endswith(".weight") and len(tensor.dims) == 2


@pytest.mark.parametrize(("precision", "bits"), [("fp16", 16), ("int8", 8), ("int4", 4)])
def test_packed_weights_are_close_to_their_nominal_size(precision: str, bits: int, tmp_path: Path) -> None:
    sizes = {"hidden_size": 512, "intermediate_size": 1024, "head_dim": 64, "num_hidden_layers": 1}
    config = CASES["llama"] | sizes
    path = write_graph(tmp_path / "q.onnx", config, StandardDialect("native", precision, CAPACITY))
    graph = onnx.load(path, load_external_data=False).graph
    matrices = [tensor for tensor in graph.initializer if _is_matrix(tensor) and tensor.data_type in _BITS]
    least = sum(math.prod(tensor.dims) * _BITS[tensor.data_type] / 8 for tensor in matrices)
    size = path.with_name("q.onnx.data").stat().st_size
    assert {_BITS[tensor.data_type] for tensor in matrices} == {bits} | ({8} if bits == 4 else set())
    assert least < size < 1.15 * least


def test_older_tensorrt_gets_no_newer_operators_than_it_needs(tmp_path: Path) -> None:
    dialects = [StandardDialect(lowering, kind, 64) for lowering in LOWERINGS for kind in ("fp16", "w8a8", "int4")]
    opsets = {
        (dialect.lowering, dialect.precision): opset(
            write_graph(tmp_path / f"{dialect.lowering}-{dialect.precision}.onnx", CASES["llama"], dialect)
        )
        for dialect in dialects
    }
    assert {key: version for key, version in opsets.items() if key[0] == "decomposed"} == {
        ("decomposed", "fp16"): 20,
        ("decomposed", "w8a8"): 20,
        ("decomposed", "int4"): 21,
    }
    assert {version for key, version in opsets.items() if key[0] == "native"} == {24}


@pytest.mark.parametrize(("precision", "down"), [("w8a8", {"int8"}), ("int4", {"int4", "int4/32", "int8"})])
def test_a_fitted_precision_says_what_it_made_of_the_matrices(precision: str, down: set[str], tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(write_case(tmp_path / "checkpoint", CASES["llama"] | {"num_hidden_layers": 1})))
    windows = np.random.RandomState(2).randint(0, VOCAB_SIZE, (3, 48)).astype(np.int64)
    calibration = Calibration(windows, threads=1, max_kl=0.0)
    build = Build(tmp_path / "model.onnx", checkpoint, describe(checkpoint), "fp32", lambda *_: None, calibration)
    groups = build.standard(StandardDialect("native", precision, CAPACITY))
    assert groups["embedding and head"] == "int8"
    assert groups["down"] in down
    assert np.isfinite(_logits(build.path)).all()


def test_a_fitted_precision_without_a_text_is_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(write_case(tmp_path / "checkpoint", CASES["llama"])))
    build = Build(tmp_path / "model.onnx", checkpoint, describe(checkpoint), "fp32", lambda *_: None)
    with pytest.raises(ExportError, match="'w8a8' is fitted to a text"):
        build.standard(StandardDialect("native", "w8a8", CAPACITY))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lowering": "new"}, "lowering 'new'"),
        ({"precision": "auto"}, "precision 'auto'"),
        ({"capacity": 0}, "capacity"),
    ],
)
def test_unknown_choices_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        StandardDialect(**({"lowering": "native", "precision": "fp16", "capacity": 8} | change))  # type: ignore[arg-type]
