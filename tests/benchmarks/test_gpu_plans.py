"""What the weights of a plan are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu.plans import nominal_bytes
from edge_autoglm.export.standard.dialect import StandardDialect
from tests.export.standard.graphs import write_graph
from tests.oracles.family_cases import CASES, VOCAB_SIZE


def matrices(name: str, *, tied: bool) -> int:
    """Weights of all matrices of a case."""
    case = CASES[name]
    hidden, inner, layers = case["hidden_size"], case["intermediate_size"], case["num_hidden_layers"]
    head_dim = case.get("head_dim") or hidden // case["num_attention_heads"]
    queries, keys = case["num_attention_heads"] * head_dim, case["num_key_value_heads"] * head_dim
    layer = hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * inner
    return layers * layer + VOCAB_SIZE * hidden * (1 if tied else 2)


@pytest.mark.parametrize(("precision", "nbytes"), [("fp16", 2), ("int8", 1), ("w8a8", 1)])
def test_each_matrix_counts_once_at_the_bits_of_its_type(precision: str, nbytes: int, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", CASES["qwen2"], StandardDialect("native", precision, 64))
    tied = bool(CASES["qwen2"]["tie_word_embeddings"])
    assert nominal_bytes(graph) == nbytes * matrices("qwen2", tied=tied)


def test_four_bits_are_half_a_byte_and_scales_are_none_of_the_weights(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", CASES["qwen2"], StandardDialect("native", "int4", 64))
    whole = matrices("qwen2", tied=bool(CASES["qwen2"]["tie_word_embeddings"]))
    assert whole / 2 < nominal_bytes(graph) < whole
