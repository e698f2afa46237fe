"""TensorRT's parser takes the native graph of every family; its cache updates are from input to output.

It needs no GPU. TensorRT-RTX parses like TensorRT, and is what PyPI has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName
from tests.export.standard.graphs import write_graph
from tests.oracles.family_cases import CASES

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


def _parse(path: Path) -> tuple[Any, list[Any]]:
    """The network, and what keeps it alive."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    taken = parser.parse_from_file(str(path))
    assert taken, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    return network, [parser, builder, logger]


def _layers(network: Any, kind: str) -> list[Any]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [layer for layer in layers if layer.type == getattr(trt.LayerType, kind)]


@pytest.mark.parametrize("name", CASES)
def test_every_family_parses_and_its_cache_is_updated_in_place(name: str, tmp_path: Path) -> None:
    network, _alive = _parse(write_graph(tmp_path / "model.onnx", CASES[name], StandardDialect("native", "fp16", 64)))
    layers = CASES[name]["num_hidden_layers"]
    updates = {(layer.get_input(0).name, layer.get_output(0).name) for layer in _layers(network, "KV_CACHE_UPDATE")}
    names = [f"{kind}.{layer}" for layer in range(layers) for kind in ("key", "value")]
    assert updates == {(f"past_{name}", f"present_{name}") for name in names}
    inputs = {network.get_input(index).name for index in range(network.num_inputs)}
    outputs = {network.get_output(index).name for index in range(network.num_outputs)}
    assert {past for past, _ in updates} < inputs
    assert {present for _, present in updates} < outputs
    assert len(_layers(network, "ATTENTION_INPUT")) == layers
    assert len(_layers(network, "ROTARY_EMBEDDING")) == 2 * layers


@pytest.mark.parametrize("precision", ["int8", "w8a8", "int4"])
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_every_precision_parses(lowering: LoweringName, precision: str, tmp_path: Path) -> None:
    network, _alive = _parse(
        write_graph(tmp_path / "model.onnx", CASES["qwen2"], StandardDialect(lowering, precision, 64))
    )
    scaled = [layer.get_input(0).dtype for layer in _layers(network, "DEQUANTIZE")]
    assert trt.DataType.INT8 in scaled
    assert (trt.DataType.INT4 in scaled) == (precision == "int4")
    assert len(_layers(network, "QUANTIZE")) == (2 * 3 if precision == "w8a8" else 0)
