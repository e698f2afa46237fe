"""A GGUF file gives the weights and the configuration that the converter was given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from edge_autoglm.errors import MissingDependency, NotAModel, UnsupportedModel
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_tiny_llama
from tests.export_sources.tiny_gguf import llama_cpp_tensors, permute, tiny_metadata, write_gguf

EMPTY = {
    "token_embd.weight": np.zeros((320, 64), dtype=np.float32),
    "blk.0.attn_norm.weight": np.ones(64, dtype=np.float32),
    "blk.1.attn_norm.weight": np.ones(64, dtype=np.float32),
}
"""As much of a model as its configuration needs."""


def test_every_tensor_is_that_of_the_original_checkpoint(tiny_folder: Path, tiny_gguf: Path) -> None:
    original, converted = open_checkpoint(str(tiny_folder)), open_checkpoint(str(tiny_gguf))
    assert set(converted.names()) == set(original.names())
    for name in original.names():
        assert converted.shape(name) == original.shape(name)
        np.testing.assert_array_equal(converted.read(name), original.read(name), err_msg=name)


def test_the_config_is_that_of_the_original_checkpoint(tiny_folder: Path, tiny_gguf: Path) -> None:
    original = json.loads((tiny_folder / "config.json").read_text())
    config = open_checkpoint(str(tiny_gguf)).config
    for key in config.keys() & original.keys():
        assert config[key] == original[key], key
    assert config["tie_word_embeddings"] is False
    assert config["rope_scaling"] is None


def test_a_file_without_output_weight_has_tied_embeddings(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tied", tied=True)
    path = write_gguf(tmp_path / "tied.gguf", tiny_metadata(), llama_cpp_tensors(open_checkpoint(str(folder))))
    checkpoint = open_checkpoint(str(path))
    assert checkpoint.config["tie_word_embeddings"] is True
    assert "lm_head.weight" not in checkpoint.names()


def test_the_pairs_that_llama_cpp_rotates_are_the_halves_that_hugging_face_rotates() -> None:
    # One head of 8 rows: what the converter writes is 0 4 1 5 2 6 3 7.
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    assert permute(rows, 1).ravel().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_a_tensor_that_is_not_there_is_named(tiny_gguf: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"model\.layers\.9\.mlp\.up_proj\.weight"):
        open_checkpoint(str(tiny_gguf)).read("model.layers.9.mlp.up_proj.weight")


def test_a_type_without_a_dequantiser_is_named(tmp_path: Path) -> None:
    metadata = tiny_metadata()
    writer = gguf.GGUFWriter(tmp_path / "i32.gguf", "llama")
    for key in ("embedding_length", "feed_forward_length", "block_count", "attention.head_count", "context_length"):
        writer.add_uint32(f"llama.{key}", metadata[f"llama.{key}"])
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tensor("token_embd.weight", np.zeros((320, 64), dtype=np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModel, match=r"'token_embd\.weight' is of ggml type I32"):
        open_checkpoint(str(tmp_path / "i32.gguf")).read("model.embed_tokens.weight")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"llama.rope.dimension_count": 8}, "rope.dimension_count is 8, but a head has 16"),
        ({"llama.attention.value_length": 32}, "attention.value_length is 32"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"split.count": 3}, "one of 3 parts"),
    ],
)
def test_what_is_not_a_plain_llama_is_refused(changes: dict[str, Any], cause: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "odd.gguf", tiny_metadata() | changes, EMPTY)
    with pytest.raises(UnsupportedModel, match=cause):
        open_checkpoint(str(path))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"llama.block_count": None}, r"'llama\.block_count' is missing"),
        ({"llama.embedding_length": "64"}, r"'llama\.embedding_length' is 64, not a positive integer"),
        ({"llama.attention.head_count": [4, 2]}, r"'llama\.attention\.head_count' is \[4, 2\]"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "layer_norm_rms_epsilon' is nan"),
    ],
)
def test_a_metadata_field_that_is_unusable_is_named(changes: dict[str, Any], cause: str, tmp_path: Path) -> None:
    metadata = {key: value for key, value in (tiny_metadata() | changes).items() if value is not None}
    path = write_gguf(tmp_path / "odd.gguf", metadata, EMPTY)
    with pytest.raises(NotAModel, match=cause):
        open_checkpoint(str(path))


def test_linear_rope_scaling_is_passed_on(tmp_path: Path) -> None:
    scaling = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    path = write_gguf(tmp_path / "scaled.gguf", tiny_metadata() | scaling, EMPTY)
    assert open_checkpoint(str(path)).config["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}


def test_what_llama_3_divides_frequencies_by_is_passed_on(tmp_path: Path) -> None:
    factors = np.array([1, 1, 1, 1.5, 4, 8, 8, 8], dtype=np.float32)
    path = write_gguf(tmp_path / "llama3.gguf", tiny_metadata(), EMPTY | {"rope_freqs.weight": factors})
    checkpoint = open_checkpoint(str(path))
    assert "rope_freqs.weight" not in checkpoint.names()
    assert checkpoint.config["rope_parameters"] == {
        "rope_type": "explicit",
        "rope_theta": 10000.0,
        "frequency_factors": factors.tolist(),
    }


@pytest.mark.parametrize("factors", [[1.0] * 7 + [0.0], [1.0] * 7 + [np.nan], [[1.0] * 8]])
def test_impossible_divisors_of_frequencies_are_refused(factors: list[float], tmp_path: Path) -> None:
    tensors = EMPTY | {"rope_freqs.weight": np.array(factors, dtype=np.float32)}
    with pytest.raises(NotAModel, match=r"rope_freqs\.weight"):
        open_checkpoint(str(write_gguf(tmp_path / "odd.gguf", tiny_metadata(), tensors)))


def test_frequencies_scaled_in_two_ways_are_refused(tmp_path: Path) -> None:
    scaling = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    tensors = EMPTY | {"rope_freqs.weight": np.ones(8, dtype=np.float32)}
    with pytest.raises(UnsupportedModel, match=r"rope\.scaling\.type is there beside the tensor rope_freqs"):
        open_checkpoint(str(write_gguf(tmp_path / "odd.gguf", tiny_metadata() | scaling, tensors)))


@pytest.mark.parametrize("layers", [1, 3])
def test_a_layer_count_that_is_not_that_of_the_tensors_is_refused(layers: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "odd.gguf", tiny_metadata() | {"llama.block_count": layers}, EMPTY)
    with pytest.raises(NotAModel, match=rf"'llama\.block_count' is {layers}, not 2"):
        open_checkpoint(str(path))


def test_another_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="architecture 'mamba'"):
        open_checkpoint(str(write_gguf(tmp_path / "mamba.gguf", {}, EMPTY, architecture="mamba")))


def test_a_foreign_tensor_is_named(tmp_path: Path) -> None:
    tensors = EMPTY | {"blk.0.attn_sinks.weight": np.ones(8, dtype=np.float32)}
    with pytest.raises(UnsupportedModel, match=r"blk\.0\.attn_sinks\.weight"):
        open_checkpoint(str(write_gguf(tmp_path / "odd.gguf", tiny_metadata(), tensors)))


def test_a_file_with_a_vocabulary_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="holds no weights"):
        open_checkpoint(str(write_gguf(tmp_path / "vocab.gguf", tiny_metadata(), {})))


def test_a_projection_of_the_wrong_size_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    tensors = llama_cpp_tensors(open_checkpoint(str(tiny_folder)))
    tensors["blk.0.attn_k.weight"] = tensors["blk.0.attn_k.weight"][:24]
    checkpoint = open_checkpoint(str(write_gguf(tmp_path / "odd.gguf", tiny_metadata(), tensors)))
    with pytest.raises(NotAModel, match="24 rows instead of 32"):
        checkpoint.read("model.layers.0.self_attn.k_proj.weight")


def test_a_missing_gguf_package_says_what_to_install(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependency, match=r"edge-autoglm\[export\]"):
        open_checkpoint(str(tiny_gguf))
