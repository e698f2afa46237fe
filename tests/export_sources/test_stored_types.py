"""Every data type is read exactly, and reading needs little more memory than its result."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import gguf.quants
import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_tiny_llama
from tests.export_sources.tiny_gguf import llama_cpp_tensors, tiny_metadata, write_gguf

Bytes = npt.NDArray[np.uint8]
EMBEDDING = "model.embed_tokens.weight"
MB = 1 << 20


def half(raw: Bytes) -> np.float32:
    return np.float32(raw.view(np.float16)[0])


def q4_0(block: Bytes) -> list[np.float32]:
    """``dequantize_row_q4_0`` of ggml: 16 low halves, then 16 high halves, of bytes; 8 is zero."""
    d, qs = half(block[:2]), block[2:].tolist()
    return [d * np.float32(level - 8) for level in [*(q & 15 for q in qs), *(q >> 4 for q in qs)]]


def q8_0(block: Bytes) -> list[np.float32]:
    d = half(block[:2])
    return [d * np.float32(q) for q in block[2:].view(np.int8).tolist()]


def q4_k(block: Bytes) -> list[np.float32]:
    """``dequantize_row_q4_K`` of ggml, its 6-bit scales and minima unpacked as ``get_scale_min_k4`` does."""
    d, dmin, s, qs = half(block[:2]), half(block[2:4]), block[4:16].tolist(), block[16:].tolist()
    values: list[np.float32] = []
    for j in range(8):
        scale = s[j] & 63 if j < 4 else (s[j + 4] & 15) | (s[j - 4] >> 6) << 4
        minimum = s[j + 4] & 63 if j < 4 else s[j + 4] >> 4 | (s[j] >> 6) << 4
        part = qs[32 * (j // 2) : 32 * (j // 2) + 32]
        levels = [q >> 4 if j % 2 else q & 15 for q in part]
        values += [d * np.float32(scale) * np.float32(q) - dmin * np.float32(minimum) for q in levels]
    return values


def q6_k(block: Bytes) -> list[np.float32]:
    """``dequantize_row_q6_K`` of ggml."""
    ql, qh, scales = block[:128].tolist(), block[128:192].tolist(), block[192:208].view(np.int8).tolist()
    d = half(block[208:])
    values: list[np.float32] = []
    for n in range(2):
        for quarter in range(4):
            for i in range(32):
                low = ql[64 * n + 32 * (quarter % 2) + i]
                low = low >> 4 if quarter > 1 else low & 15
                level = (low | ((qh[32 * n + i] >> 2 * quarter) & 3) << 4) - 32
                values.append(d * np.float32(scales[8 * n + 2 * quarter + i // 16]) * np.float32(level))
    return values


def random_rows(kind: str, rows: int, columns: int) -> Bytes:
    """Random bytes, with scales that are finite: halves of small exponent."""
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    rng = np.random.default_rng(7)
    blocks: Bytes = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    for place in {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}[kind]:
        scales = (rng.standard_normal(len(blocks)) * 0.01).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, columns // block * size)


def with_embedding(folder: Path, path: Path, raw: npt.NDArray[Any], kind: str) -> Checkpoint:
    """The tiny Llama, its embedding replaced."""
    tensors = llama_cpp_tensors(open_checkpoint(str(folder)))
    vectors = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 1}
    return open_checkpoint(str(write_gguf(path, tiny_metadata(), {"token_embd.weight": raw} | vectors, kind)))


@pytest.mark.parametrize(
    ("kind", "reference"), [("Q4_0", q4_0), ("Q8_0", q8_0), ("Q4_K", q4_k), ("Q6_K", q6_k), ("Q4_1", None)]
)
def test_blocks_have_the_values_of_ggml(
    kind: str, reference: Callable[[Bytes], list[np.float32]] | None, tiny_folder: Path, tmp_path: Path
) -> None:
    raw = random_rows(kind, rows=6, columns=512)
    values = with_embedding(tiny_folder, tmp_path / "model.gguf", raw, kind).read(EMBEDDING)
    assert (values.shape, values.dtype) == ((6, 512), np.float32)
    np.testing.assert_array_equal(values, gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[kind]))
    if reference is not None:
        size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][1]
        by_hand = [value for block in raw.reshape(-1, size) for value in reference(block)]
        np.testing.assert_array_equal(values.ravel(), by_hand)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_what_gguf_quantises_is_read_exactly(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    original = open_checkpoint(str(tiny_folder))
    checkpoint = open_checkpoint(
        str(write_gguf(tmp_path / "model.gguf", tiny_metadata(), llama_cpp_tensors(original), kind))
    )
    quantisation = gguf.GGMLQuantizationType[kind]
    for name in (EMBEDDING, "model.layers.1.self_attn.k_proj.weight"):
        # Blocks lie along a row, so moving whole rows and quantising commute.
        expected = gguf.quants.dequantize(gguf.quants.quantize(original.read(name), quantisation), quantisation)
        np.testing.assert_array_equal(checkpoint.read(name), expected)
        assert checkpoint.read(name).dtype == np.float32


@pytest.mark.parametrize(("dtype", "code"), [("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("BF16", "<u2")])
def test_a_tensor_of_several_pieces_is_whole(dtype: str, code: str, tmp_path: Path) -> None:
    # Not a multiple of the size of a piece; a value's place can be told from the value.
    numbers = np.arange(600_001) % 251
    stored = numbers.astype(np.float32).view(np.uint32) >> 16 if dtype == "BF16" else numbers
    folder = write_tiny_llama(tmp_path / "tiny")
    write_one(folder / "model.safetensors", dtype, stored.astype(code))
    np.testing.assert_array_equal(open_checkpoint(str(folder)).read("a"), numbers.astype(np.float32))


def write_one(path: Path, dtype: str, values: npt.NDArray[Any]) -> None:
    row = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [0, values.nbytes]}
    header = json.dumps({"a": row}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())


def peak_of_reading(checkpoint: Checkpoint, name: str) -> tuple[int, int]:
    """Bytes of the result and the most that was allocated on the way to it."""
    tracemalloc.start()
    try:
        size = checkpoint.read(name).nbytes
        return size, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_reading_safetensors_takes_little_more_than_the_result(dtype: str, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    code = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}[dtype]
    write_one(folder / "model.safetensors", dtype, np.zeros((4096, 2048), dtype=code))
    size, peak = peak_of_reading(open_checkpoint(str(folder)), "a")
    assert size == 32 * MB
    assert peak < size + 8 * MB


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K"])
def test_reading_gguf_takes_little_more_than_the_result(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    raw = np.zeros((4096, 2048 // block * block_bytes), dtype=np.uint8)
    checkpoint = with_embedding(tiny_folder, tmp_path / "model.gguf", raw, kind)
    size, peak = peak_of_reading(checkpoint, EMBEDDING)
    assert size == 32 * MB
    assert peak < size + 12 * MB


def test_rows_are_put_back_in_order_without_a_second_copy(tmp_path: Path) -> None:
    metadata = tiny_metadata() | {
        "llama.block_count": 1,
        "llama.attention.head_count": 64,
        "llama.attention.head_count_kv": 64,
        "llama.attention.key_length": 64,
        "llama.attention.value_length": 64,
        "llama.rope.dimension_count": 64,
    }
    tensors = {"token_embd.weight": np.zeros((320, 64)), "blk.0.attn_q.weight": np.zeros((4096, 2048))}
    path = write_gguf(tmp_path / "model.gguf", metadata, {k: v.astype(np.float32) for k, v in tensors.items()}, "F16")
    size, peak = peak_of_reading(open_checkpoint(str(path)), "model.layers.0.self_attn.q_proj.weight")
    assert size == 32 * MB
    assert peak < size + 8 * MB
