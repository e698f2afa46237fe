from pathlib import Path

import gguf
import numpy as np
import onnx
import pytest

from benchmarks.checkpoints import GLM_EDGE_1_5B, QWEN2_0_5B, Stored, random_tensors, write_folder
from benchmarks.llama_cpp_peer import write_out
from benchmarks.peers.random_bundle import write_random_bundle
from benchmarks.peers.random_gguf import write_random_gguf
from benchmarks.peers.weight_bytes import read_a_token
from edge_autoglm import Bundle, export_model
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.sources.gguf_header import read_header
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json, write_tiny_llama

TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB_SIZE,
}
TINY_QWEN = QWEN2_0_5B | TINY
TINY_GLM = GLM_EDGE_1_5B | TINY | {"head_dim": 16}
TEXTS = TokenizerFiles(tiny_tokenizer_json(), None, None, "<|im_end|>", (2,), False)


def values_of(tensor: Stored) -> np.ndarray:
    return np.concatenate(list(tensor.pieces())).reshape(tensor.shape)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    writer = gguf.GGUFWriter(tmp_path / "tokenizer.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])
    writer.add_context_length(99)
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), np.float32))
    write_out(writer)
    return tmp_path / "tokenizer.gguf"


def test_shapes_have_the_published_number_of_parameters() -> None:
    # Model cards: 0.49 B and 1.59 B, with vocabularies of 151936 (tied) and 59264 (two tables).
    qwen = sum(tensor.nbytes // 2 for tensor in random_tensors(QWEN2_0_5B, 0))
    glm = sum(tensor.nbytes // 2 for tensor in random_tensors(GLM_EDGE_1_5B, 0))
    assert qwen + (151936 - 49152) * 896 == 494_032_768
    assert glm + 2 * (59264 - 49152) * 2048 == 1_593_427_968


def test_random_glm_is_a_checkpoint_that_exports(tmp_path: Path) -> None:
    write_folder(tmp_path / "hf", TINY_GLM, TEXTS, random_tensors(TINY_GLM, 0), 10**9)
    bundle = export_model(tmp_path / "hf", tmp_path / "bundle", "int8", proof=False)
    assert bundle.manifest.model.family == "glm"


@pytest.mark.parametrize("config", [TINY_QWEN, TINY_GLM], ids=["qwen2", "glm"])
def test_gguf_holds_the_very_values_of_the_folder(config: dict[str, object], tmp_path: Path, tokenizer: Path) -> None:
    tensors = random_tensors(config, 3)
    write_folder(tmp_path / "hf", config, TEXTS, tensors, 10**9)
    write_random_gguf(config, tensors, tokenizer, tmp_path / "x.gguf")
    written = {
        t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(tmp_path / "x.gguf").tensors
    }
    folder = open_checkpoint(str(tmp_path / "hf"))
    assert len(written) == len(tensors)
    assert np.array_equal(written["blk.1.ffn_down.weight"], folder.read("model.layers.1.mlp.down_proj.weight"))
    assert np.array_equal(written["blk.0.attn_k.weight"], folder.read("model.layers.0.self_attn.k_proj.weight"))
    assert np.array_equal(written["token_embd.weight"], folder.read("model.embed_tokens.weight"))
    metadata = read_header(tmp_path / "x.gguf").metadata
    assert metadata["tokenizer.ggml.tokens"] == ["a", "b"]
    family = metadata["general.architecture"]
    assert metadata[f"{family}.context_length"] == config["max_position_embeddings"]
    assert metadata[f"{family}.rope.dimension_count"] == (8 if family == "chatglm" else 16)


def test_a_step_reads_all_of_a_gguf_file_but_the_rows_it_looks_up(tmp_path: Path, tokenizer: Path) -> None:
    for config, name in ((TINY_QWEN, "tied"), (TINY_GLM, "untied")):
        write_random_gguf(config, random_tensors(config, 0), tokenizer, tmp_path / f"{name}.gguf")
    tied = sum(t.nbytes * (1 if len(t.shape) == 2 else 2) for t in random_tensors(TINY_QWEN, 0))
    untied = sum(t.nbytes * (1 if len(t.shape) == 2 else 2) for t in random_tensors(TINY_GLM, 0)) - VOCAB_SIZE * 64 * 2
    assert read_a_token(tmp_path / "tied.gguf") == tied
    assert read_a_token(tmp_path / "untied.gguf") == untied


@pytest.mark.parametrize("tied", [True, False])
def test_a_step_reads_the_matrices_of_a_graph_once(tied: bool, tmp_path: Path) -> None:
    source = write_tiny_llama(tmp_path / "hf", tied=tied)
    export_model(source, tmp_path / "bundle", "fp32", proof=False)
    layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64
    assert read_a_token(tmp_path / "bundle") == 4 * (2 * layer + VOCAB_SIZE * 64)


def test_a_folder_without_graphs_says_nothing(tmp_path: Path) -> None:
    assert read_a_token(write_tiny_llama(tmp_path / "hf")) is None


def operators(bundle: Path) -> set[str]:
    return {node.op_type for node in onnx.load(bundle / "engine/model.onnx", load_external_data=False).graph.node}


@pytest.mark.parametrize("precision", ["w8a8", "int4"])
def test_random_weights_get_the_forms_of_an_export_without_its_fit(tmp_path: Path, precision: str) -> None:
    write_folder(tmp_path / "hf", TINY_QWEN, TEXTS, random_tensors(TINY_QWEN, 0), 10**9)
    int8 = export_model(tmp_path / "hf", tmp_path / "int8", "int8", proof=False)
    write_random_bundle(tmp_path / "hf", tmp_path / "int8", precision, tmp_path / "out")
    export_model(tmp_path / "hf", tmp_path / "fitted", precision, proof=False)
    written = Bundle.open(tmp_path / "out")
    assert written.manifest.model == int8.manifest.model
    assert operators(tmp_path / "out") == operators(tmp_path / "fitted")
    assert read_a_token(tmp_path / "out") == pytest.approx(read_a_token(tmp_path / "fitted"), rel=0.1)
