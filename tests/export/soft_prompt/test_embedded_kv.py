"""The KV of embeddings is that of the tokens whose embeddings they are, in every form of weights and cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.errors import DamagedBundle, EngineError, UnsupportedModel
from edge_autoglm.export.soft_prompt.checkpoint import Embeddings
from edge_autoglm.export.soft_prompt.graph import embedded_kv
from edge_autoglm.export.soft_prompt.importing import import_soft_prompt
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.checkpoints import write_tiny_llama
from tests.onnxruntime_versions import need_cache_type
from tests.soft_prompts import rows_of, write_peft

TOKENS = [5, 40, 300, 17, 260, 9, 5, 77]
REST = [12, 200, 31, 8, 8, 119]
FORMS = [("fp32", "fp32"), ("fp16", "fp32"), ("int8", "fp32"), ("w8a8", "fp32"), ("fp32", "fp16"), ("fp32", "int8")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "checkpoint")


def graph_of(bundle: Bundle) -> Path:
    return bundle.path(bundle.engine("ort").graph)


def looked_up(graph: Path) -> Embeddings:
    """What a graph, quantised or not, looks up for ``TOKENS``: its own nodes in front of the first norm."""
    model = onnx.load(graph, load_external_data=False)
    norm = next(node for node in model.graph.node if node.op_type == "SimplifiedLayerNormalization")
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(norm.input[0], onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
    for value in [value for value in model.graph.input if value.name != "input_ids"]:
        model.graph.input.remove(value)
    kept = model.graph.node[: list(model.graph.node).index(norm)]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [rows] = session.run(None, {"input_ids": np.array([TOKENS], dtype=np.int64)})
    found: Embeddings = rows[0]
    return found


@pytest.mark.parametrize(("precision", "kv"), FORMS)
def test_it_is_the_kv_of_these_tokens_to_the_bit(precision: str, kv: str, checkpoint: Path, tmp_path: Path) -> None:
    need_cache_type(kv)
    graph = graph_of(export_model(str(checkpoint), tmp_path / "bundle", precision, kv=kv, proof=False))
    engine = OrtEngine.load(graph, fingerprint="test", context_length=512, slots=2, capacity=64, threads=1)
    segment = embedded_kv(graph, "test", looked_up(graph), 1)
    engine.forward([Chunk(0, TOKENS)])
    own = engine.copy_out(0, 0, len(TOKENS))
    assert segment.token_axes == own.token_axes
    np.testing.assert_array_equal(segment.arrays[0], own.arrays[0])
    engine.copy_in(1, [segment])
    behind = [engine.forward([Chunk(slot, REST, range(len(REST)))])[0] for slot in (0, 1)]
    np.testing.assert_array_equal(behind[0], behind[1])


def test_in_fp32_the_checkpoints_own_rows_are_what_is_looked_up(checkpoint: Path, tmp_path: Path) -> None:
    graph = graph_of(export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False))
    np.testing.assert_array_equal(looked_up(graph), rows_of(checkpoint, TOKENS))


def test_embeddings_that_no_model_can_use_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    graph = graph_of(export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False))
    with pytest.raises(EngineError, match="values that are no numbers"):
        embedded_kv(graph, "test", np.full((2, 64), np.nan, dtype=np.float32), 1)


def test_a_graph_without_a_place_for_embeddings_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False)
    model = onnx.load(graph_of(bundle), load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "SimplifiedLayerNormalization":
            node.op_type = "LayerNormalization"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UnsupportedModel, match=r"other\.onnx: the graph has no embeddings in front of a first"):
        embedded_kv(tmp_path / "other.onnx", "test", rows_of(checkpoint, TOKENS), 1)


def test_a_graph_without_its_weights_is_named(checkpoint: Path, tmp_path: Path) -> None:
    graph = graph_of(export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False))
    (tmp_path / graph.name).write_bytes(graph.read_bytes())
    with pytest.raises(DamagedBundle, match="ONNX Runtime cannot load the graph"):
        embedded_kv(tmp_path / graph.name, "test", rows_of(checkpoint, TOKENS), 1)


def test_a_bundle_without_such_an_engine_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False)
    engines = tuple(replace(entry, kind="ort-past") for entry in bundle.manifest.engines)
    past = Bundle(bundle.root, replace(bundle.manifest, engines=engines))
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, TOKENS))
    with pytest.raises(UnsupportedModel, match=r"no engine that a soft prompt can stand in front of .*ort-past"):
        import_soft_prompt(past, peft, "sentiment", tmp_path / "out", "tuned")


def test_a_bundle_for_tensorrt_takes_no_soft_prompt(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(str(checkpoint), tmp_path / "bundle", "fp16", "tensorrt", plan=False, proof=False)
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, TOKENS))
    with pytest.raises(UnsupportedModel, match=r"can stand in front of \(it has standard\)") as caught:
        import_soft_prompt(bundle, peft, "sentiment", tmp_path / "out", "tuned")
    assert "for the target ort" in caught.value.cure
    assert not (tmp_path / "out").exists()


def test_more_virtual_tokens_than_the_model_was_made_for_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(str(checkpoint), tmp_path / "bundle", "fp32", proof=False)
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, [5] * 512))
    with pytest.raises(UnsupportedModel, match="has 512 tokens, the model was made for 512"):
        import_soft_prompt(bundle, peft, "sentiment", tmp_path / "out", "tuned")
