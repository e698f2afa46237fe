"""Hugging Face folders: every layout reads the same, and what is wrong with a file is said with its name."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from edge_autoglm.errors import NotAModel, SourceNotFound, TruncatedSource, UnsupportedModel
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_safetensors, write_tiny_llama

NORM = "model.norm.weight"


def with_header(path: Path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def with_rows(folder: Path, rows: dict[str, Any], data: bytes = b"") -> Path:
    with_header(folder / "model.safetensors", json.dumps(rows).encode(), data)
    return folder


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_it_reads_what_the_safetensors_package_writes(dtype: type[np.floating[Any]], tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    array = np.random.default_rng(0).standard_normal((7, 5)).astype(dtype)
    safetensors.numpy.save_file({"a": array, "b": array[0]}, folder / "model.safetensors")
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.shape("a") == (7, 5)
    assert checkpoint.read("a").dtype == np.float32
    np.testing.assert_array_equal(checkpoint.read("a"), array.astype(np.float32))
    np.testing.assert_array_equal(checkpoint.read("b"), array[0].astype(np.float32))


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    # 1.0, -2.5, the largest finite value and infinity, as bfloat16 bit patterns.
    data = struct.pack("<4H", 0x3F80, 0xC020, 0x7F7F, 0x7F80)
    with_rows(folder, {"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, data)
    expected = [1.0, -2.5, float.fromhex("0x1.fep+127"), np.inf]
    assert open_checkpoint(str(folder)).read("a").tolist() == expected


def test_shards_read_like_one_file(tmp_path: Path) -> None:
    one = open_checkpoint(str(write_tiny_llama(tmp_path / "one", tied=False)))
    sharded = open_checkpoint(str(write_tiny_llama(tmp_path / "sharded", tied=False, shards=3)))
    assert set(one.names()) == set(sharded.names())
    for name in one.names():
        np.testing.assert_array_equal(one.read(name), sharded.read(name))


def test_the_config_is_the_file(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.config == json.loads((folder / "config.json").read_text())
    assert checkpoint.location == str(folder)


def test_a_file_cut_in_its_data_says_both_sizes(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(
        TruncatedSource, match=rf"model\.safetensors.*{len(whole)} bytes, the file has {len(whole) - 1}"
    ):
        open_checkpoint(str(folder))


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(TruncatedSource, match=r"model-00002-of-00002\.safetensors is truncated"):
        open_checkpoint(str(folder))


def test_a_file_cut_in_its_header_is_truncated(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        TruncatedSource, match=r"model\.safetensors ends inside its header: expected \d+ bytes, got 100"
    ):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04 this is a zip archive, not weights"])
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(NotAModel, match=r"model\.safetensors is not a safetensors file"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("header", [b"not json", b"[]", b"[" * 50_000])
def test_a_header_that_is_no_json_object_is_refused(header: bytes, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    with_header(folder / "model.safetensors", header)
    with pytest.raises(NotAModel, match=r"the header of .*model\.safetensors is not"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    "row",
    [
        [],
        {"dtype": "F32", "shape": [2]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0]},
        {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": ["0", "8"]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8.0]},
        {"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [0, 1 << 62, 1 << 62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [1] * 99, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**40], "data_offsets": [0, 4 * 10**40]},
        {"dtype": "F16", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": {}, "shape": [2], "data_offsets": [0, 8]},
    ],
)
def test_a_row_that_contradicts_itself_is_named(row: Any, tmp_path: Path) -> None:
    folder = with_rows(write_tiny_llama(tmp_path / "tiny"), {"a.weight": row}, bytes(16))
    with pytest.raises((NotAModel, TruncatedSource), match=r"a\.weight"):
        open_checkpoint(str(folder))


def row(begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("rows", "size", "cause"),
    [
        ({"a": row(0, 8), "b": row(4, 12)}, 12, "tensor 'b' at bytes 4 to 12 overlaps"),
        ({"a": row(0, 8), "b": row(0, 8)}, 8, "tensor 'b' at bytes 0 to 8 overlaps"),
        ({"a": row(0, 8), "b": row(12, 16)}, 16, "tensor 'b' at bytes 12 to 16 does not follow"),
        ({"a": row(4, 8)}, 8, "tensor 'a' at bytes 4 to 8 does not follow"),
        ({"a": row(0, 8)}, 20, "12 bytes that belong to no tensor"),
    ],
)
def test_tensors_lie_side_by_side_and_fill_the_file(
    rows: dict[str, Any], size: int, cause: str, tmp_path: Path
) -> None:
    with pytest.raises(NotAModel, match=cause):
        open_checkpoint(str(with_rows(write_tiny_llama(tmp_path / "tiny"), rows, bytes(size))))


def test_a_tensor_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    once = json.dumps(row(0, 4))
    with_header(folder / "model.safetensors", f'{{"a": {once}, "a": {once}}}'.encode(), bytes(4))
    with pytest.raises(NotAModel, match="the key 'a' occurs twice"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(("length", "error"), [(90_000_000, TruncatedSource), (1 << 62, NotAModel)])
def test_a_header_longer_than_the_file_is_refused_before_it_is_read(
    length: int, error: type[Exception], tmp_path: Path
) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(error, match=r"model\.safetensors"):
        open_checkpoint(str(folder))


def test_a_header_of_a_size_that_no_model_has_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    with_header(folder / "model.safetensors", b"{}" + b" " * (17 << 20))
    with pytest.raises(NotAModel, match=r"model\.safetensors has a header of \d+ bytes; at most"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("digits", [200, 2_000_000])
def test_a_number_without_end_is_refused_at_once(digits: int, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "config.json").write_text('{"hidden_size": ' + "9" * digits + "}")
    with pytest.raises(NotAModel, match=rf"config\.json is not JSON \(a number of {digits} digits"):
        open_checkpoint(str(folder))


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "config.json").write_text(r'{"model_type": "\ud800"}')
    with pytest.raises(NotAModel, match=r"config\.json is not JSON"):
        open_checkpoint(str(folder))


def test_a_quantised_tensor_is_named_with_its_type(tmp_path: Path) -> None:
    rows = {"q.weight": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    checkpoint = open_checkpoint(str(with_rows(write_tiny_llama(tmp_path / "tiny"), rows, bytes(4))))
    with pytest.raises(UnsupportedModel, match=r"'q\.weight' has the data type F8_E4M3"):
        checkpoint.read("q.weight")


def test_a_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"no tensor 'model\.layers\.7\.weight'"):
        open_checkpoint(str(write_tiny_llama(tmp_path / "tiny"))).shape("model.layers.7.weight")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(SourceNotFound, match=r"model-00001-of-00002\.safetensors is missing"):
        open_checkpoint(str(folder))


def test_an_index_that_names_a_missing_tensor_says_which(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.ghost.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(NotAModel, match=r"'model\.ghost\.weight' is in model-00001-of-00002\.safetensors"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("shard", ["../secrets.safetensors", "/etc/passwd"])
def test_an_index_cannot_reach_outside_the_folder(shard: str, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    write_safetensors(tmp_path / "secrets.safetensors", {NORM: np.ones(4, dtype=np.float32)})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {NORM: shard}}))
    with pytest.raises(NotAModel, match="which is not a file name"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("content", ['{"metadata": {}}', '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
def test_an_index_without_a_weight_map_is_refused(content: str, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(NotAModel, match="has no field 'weight_map'"):
        open_checkpoint(str(folder))


def test_shards_without_their_index_say_what_to_download(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(NotAModel, match=r"Download model\.safetensors\.index\.json too"):
        open_checkpoint(str(folder))


def test_a_single_file_wins_over_shards_as_in_transformers(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny", shards=2)
    write_safetensors(folder / "model.safetensors", {NORM: np.ones(4, dtype=np.float32)})
    assert list(open_checkpoint(str(folder)).names()) == [NORM]


def test_pickled_weights_are_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(NotAModel, match="Pickled weights are never loaded; convert them to safetensors"):
        open_checkpoint(str(folder))


def test_a_folder_with_a_gguf_file_points_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.Q4_1.gguf").write_bytes(b"GGUF")
    with pytest.raises(NotAModel, match=r"no config\.json.*Give the GGUF file itself: .*model\.Q4_1\.gguf"):
        open_checkpoint(str(tmp_path))


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe{}"])
def test_a_config_that_is_no_json_object_is_named(content: bytes, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(NotAModel, match=r"config\.json"):
        open_checkpoint(str(folder))
