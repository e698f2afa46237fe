"""What becomes of a graph in Optimum's form: which engine runs it, and that it answers as before."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_autoglm.errors import ExportError, UnsupportedModel
from edge_autoglm.export.optimum.forms import Source
from edge_autoglm.export.optimum.probe import Probe
from edge_autoglm.export.optimum.rewriting import rewrite
from edge_autoglm.runtime.engine import Chunk
from tests.optimum.gpt_graph import CONTEXT, HEADS, HIDDEN, LAYERS, VOCAB_SIZE, Variant, write_gpt
from tests.optimum.rewritten import WINDOW, open_engine, reference_of

TEXT = np.random.default_rng(3).integers(0, VOCAB_SIZE, size=(1, 60))


def operators(graph: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(graph, load_external_data=False).graph.node)


def names(values: Any) -> set[str]:
    return {value.name for value in values}


def weight_bytes(graph: Path) -> int:
    return graph.with_name(f"{graph.name}.data").stat().st_size


def test_causal_attention_is_fused_and_takes_the_inputs_of_our_own_graphs(rewritten: Any) -> None:
    graph, result = rewritten(Variant())
    model = onnx.load(graph, load_external_data=False).graph
    cache = {f"past_{kind}.{layer}" for layer in range(LAYERS) for kind in ("key", "value")}
    assert result.kind == "ort"
    assert names(model.input) == {"input_ids", "seqlens_k", "total_sequence_length", "logits_at", *cache}
    assert names(model.output) == {"logits", *(name.replace("past", "present") for name in cache)}
    counts = operators(graph)
    assert counts["GroupQueryAttention"] == LAYERS
    assert counts["SkipLayerNormalization"] == 2 * LAYERS + 1
    assert counts["Softmax"] == counts["LayerNormalization"] == counts["Where"] == 0


def test_attention_that_is_more_than_causal_stays_and_the_notes_say_why(rewritten: Any) -> None:
    graph, result = rewritten(WINDOW)
    counts = operators(graph)
    assert result.kind == "ort-past"
    assert counts["GroupQueryAttention"] == 0
    assert counts["Softmax"] == LAYERS
    assert "left as exported (its mask is more than causal" in result.notes[0]


@pytest.mark.parametrize("window", [CONTEXT - 1, CONTEXT])
def test_a_window_is_noticed_unless_nothing_is_ever_outside_it(rewritten: Any, window: int) -> None:
    _, result = rewritten(Variant(window=window))
    assert result.kind == ("ort" if window == CONTEXT else "ort-past")


@pytest.mark.parametrize("head", ["copy", "transpose", "untied", "hidden"])
@pytest.mark.parametrize("window", [Variant().window, WINDOW.window])
def test_every_form_answers_as_the_graph_did(rewritten: Any, tmp_path: Path, window: int, head: str) -> None:
    variant = Variant(window, head)
    graph, result = rewritten(variant)
    [expected] = Probe(write_gpt(tmp_path / "exported.onnx", variant), ["logits"]).run(TEXT, 0)["logits"]
    engine = open_engine(graph, result)
    parts = [engine.forward([Chunk(0, TEXT[0, begin : begin + 7].tolist(), range(7))])[0] for begin in range(0, 49, 7)]
    steps = [engine.forward([Chunk(0, [token])])[0] for token in TEXT[0, 49:].tolist()]
    np.testing.assert_allclose(np.concatenate([*parts, *steps]), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    engine.close()


@pytest.mark.parametrize("head", ["copy", "transpose"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_tied_head_shares_the_embeddings_bytes(rewritten: Any, head: str, precision: str) -> None:
    graph, result = rewritten(Variant(head=head), precision)
    untied, _ = rewritten(Variant(head="untied"), precision)
    table = VOCAB_SIZE * HIDDEN * (4 if precision == "fp32" else 1)
    assert result.head.tied
    assert weight_bytes(untied) - weight_bytes(graph) >= table


def test_a_head_behind_an_unknown_operator_runs_on_every_position_and_the_notes_say_so(rewritten: Any) -> None:
    _, found = rewritten(Variant(head="untied"))
    _, hidden = rewritten(Variant(head="hidden"))
    assert "head: runs on chosen positions only" in found.notes
    assert "head: runs on every position" in hidden.notes


@pytest.mark.parametrize("variant", [Variant(), WINDOW], ids=["in place", "past"])
def test_int8_stores_every_weight_in_blocks_and_stays_close(rewritten: Any, variant: Variant) -> None:
    graph, result = rewritten(variant, "int8")
    plain, plain_result = rewritten(variant, "fp32")
    counts = operators(graph)
    assert counts["MatMulNBits"] == 4 * LAYERS + 1
    assert counts["GatherBlockQuantized"] == 1
    assert counts["Gemm"] == 0
    assert weight_bytes(graph) < 0.5 * weight_bytes(plain)  # positions, norms and biases stay in float32
    assert any(note.startswith("int8: 9 linear layers") for note in result.notes)
    logits = []
    for path, form in ((graph, result), (plain, plain_result)):
        engine = open_engine(path, form)
        logits.append(engine.forward([Chunk(0, TEXT[0].tolist(), range(60))])[0].astype(np.float64))
        engine.close()
    quantized, exact = (values - np.log(np.exp(values).sum(axis=1, keepdims=True)) for values in logits)
    assert (np.exp(exact) * (exact - quantized)).sum(axis=1).mean() < 0.05


def test_a_graph_that_answers_differently_is_not_shipped(tmp_path: Path) -> None:
    exported = write_gpt(tmp_path / "exported.onnx")
    reference = reference_of(exported)
    wrong = dataclasses.replace(reference, logits=reference.logits[:, ::-1].copy())
    with pytest.raises(ExportError, match="logits differ by"):
        rewrite(Source(exported, HEADS, CONTEXT), wrong, tmp_path / "model.onnx", "fp32", tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_a_cache_that_does_not_only_grow_is_refused_by_name(tmp_path: Path) -> None:
    exported = write_gpt(tmp_path / "exported.onnx")
    reference = reference_of(exported)
    model = onnx.load(exported)
    concat = next(node for node in model.graph.node if node.output[0] == "present.1.value")
    concat.input[:] = list(reversed(concat.input))
    exported.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedModel, match=r"layer 1 .* does not append to its value cache"):
        rewrite(Source(exported, HEADS, CONTEXT), reference, tmp_path / "model.onnx", "fp32", tmp_path)


def test_a_graph_without_a_cache_is_refused(tmp_path: Path) -> None:
    exported = write_gpt(tmp_path / "exported.onnx")
    reference = reference_of(exported)
    model = onnx.load(exported)
    for value in model.graph.input:
        value.name = value.name.replace("past_key_values", "memory")
    exported.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedModel, match="KV inputs"):
        rewrite(Source(exported, HEADS, CONTEXT), reference, tmp_path / "model.onnx", "fp32", tmp_path)
