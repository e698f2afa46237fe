from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchmarks.gpu.floors import Floors, Traffic
from benchmarks.peers.weight_bytes import kv_of_a_token, read_a_token

TRAFFIC = Traffic(weight_bytes=1000, kv_bytes_per_token=10)


def test_prefill_reads_the_weights_once_and_writes_the_keys_and_values_of_the_prompt() -> None:
    assert TRAFFIC.of_prefill(50) == 1500


def test_a_step_reads_the_weights_once_and_the_tokens_of_every_row() -> None:
    # Steps that make tokens 2 to 4 read 51, 52 and 53 tokens: 52 in the mean.
    assert TRAFFIC.of_step(rows=1, prompt_tokens=50, new_tokens=4) == 1520
    assert TRAFFIC.of_step(rows=3, prompt_tokens=50, new_tokens=4) == 1000 + 3 * 520


def test_floors_are_bytes_over_bandwidth_and_launches_by_their_cost() -> None:
    floors = Floors(nbytes=3000.0, bandwidth=1e6, launches=200.0, launch=2e-6)
    assert floors.by_bytes == pytest.approx(3e-3)
    assert floors.by_launches == pytest.approx(4e-4)
    assert floors.share(6e-3) == pytest.approx(0.5)


def test_the_higher_floor_counts_whichever_it_is() -> None:
    floors = Floors(nbytes=3000.0, bandwidth=1e6, launches=2000.0, launch=2e-6)
    assert floors.share(8e-3) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("floors", "expected"),
    [
        (Floors(None, 1e6, 200.0, 2e-6), (None, 4e-4)),
        (Floors(3000.0, None, 200.0, 2e-6), (None, 4e-4)),
        (Floors(3000.0, 1e6, None, 2e-6), (3e-3, None)),
        (Floors(3000.0, 1e6, 200.0, None), (3e-3, None)),
    ],
)
def test_what_was_not_measured_gives_no_floor(floors: Floors, expected: tuple[float | None, float | None]) -> None:
    assert (floors.by_bytes, floors.by_launches) == pytest.approx(expected)
    assert floors.share(1.0) == pytest.approx(next(value for value in expected if value is not None))


def test_without_any_floor_there_is_no_share() -> None:
    assert Floors(None, 1e6, None, 2e-6).share(1.0) is None


def write_graph(path: Path) -> None:
    """``tokens -> look-up -> product with an int8 matrix -> product with a float16 matrix``, and a cache."""
    levels, scales = np.zeros((4, 6), np.int8), np.zeros(6, np.float16)
    weights = {
        "table": np.zeros((100, 4), np.float16),
        "levels": levels,
        "scales": scales,
        "plain": np.zeros((6, 8), np.float16),
    }
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["rows"]),
        helper.make_node("DequantizeLinear", ["levels", "scales"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rows", "matrix"], ["between"]),
        helper.make_node("MatMul", ["between", "plain"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, ["N"]),
        *(
            helper.make_tensor_value_info(f"past_{name}.0", onnx.TensorProto.FLOAT16, ["B", 3, "C", 16])
            for name in ("key", "value")
        ),
    ]
    outputs = [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT16, ["N", 8])]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, tensors)), path)


def test_a_step_reads_quantised_matrices_as_they_are_stored_and_no_table(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    stored = {tensor.name: tensor.ByteSize() for tensor in model.graph.initializer}
    expected = stored["levels"] + stored["scales"] + stored["plain"]
    assert read_a_token(tmp_path) == read_a_token(tmp_path / "model.onnx") == expected


def test_a_token_holds_a_key_and_a_value_of_every_head(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx")
    assert kv_of_a_token(tmp_path) == 2 * 3 * 16 * 2


def test_a_folder_without_a_graph_does_not_say_what_a_token_holds(tmp_path: Path) -> None:
    assert kv_of_a_token(tmp_path) is None
