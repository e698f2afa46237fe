"""Checkpoint folders for benchmarks, written a piece at a time, so that writing needs little memory.

python -m benchmarks.checkpoints smollm2 FOLDER     the demo's model, dequantised, in bfloat16 as it was published
python -m benchmarks.checkpoints qwen2 FOLDER       seeded random weights in the shape of Qwen2.5-1.5B
python -m benchmarks.checkpoints qwen2.5-0.5b FOLDER, glm-edge-1.5b FOLDER    likewise, with SmolLM2's vocabulary
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
import numpy as np
import numpy.typing as npt

from edge_autoglm.demo.model import fetch_model
from edge_autoglm.export.checkpoint import Checkpoint, TokenizerFiles
from edge_autoglm.export.sources import open_checkpoint

Array = npt.NDArray[np.float32]

QWEN2_1_5B: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}
"""Published with Qwen2.5-1.5B-Instruct."""
_SMALL_VOCABULARY = 49152
"""Of SmolLM2, whose tokenizer the random checkpoints have."""
QWEN2_0_5B: dict[str, Any] = {
    **QWEN2_1_5B,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "vocab_size": _SMALL_VOCABULARY,
}
"""Published with Qwen2.5-0.5B-Instruct, but for the vocabulary."""
GLM_EDGE_1_5B: dict[str, Any] = {
    "architectures": ["GlmForCausalLM"],
    "model_type": "glm",
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "partial_rotary_factor": 0.5,
    "attention_bias": False,
    "vocab_size": _SMALL_VOCABULARY,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
}
"""Published with GLM-Edge-1.5B-Chat, but for the vocabulary."""
RANDOM_SHAPES = {"qwen2": QWEN2_1_5B, "qwen2.5-0.5b": QWEN2_0_5B, "glm-edge-1.5b": GLM_EDGE_1_5B}
"""By the name on the command line."""
SHARD_BYTES = 1_000_000_000
BFLOAT16_BYTES = 2
_PIECE = 1 << 22
_SPREAD = np.float32(0.02)
"""Standard deviation of the random matrices: that of ``initializer_range`` in the family's configuration."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor to write.

    Attributes:
        name: In the checkpoint.
        shape: Of it.
        pieces: Its values in order, flat.
    """

    name: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[Array]]

    @property
    def nbytes(self) -> int:
        """In bfloat16."""
        return math.prod(self.shape) * BFLOAT16_BYTES


def write_folder(
    folder: Path, config: Mapping[str, Any], texts: TokenizerFiles, tensors: Sequence[Stored], shard_bytes: int
) -> None:
    """Write ``config.json``, the tokenizer and the weights, shard by shard with their index."""
    folder.mkdir(parents=True)
    shards = list(_shards(tensors, shard_bytes))
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write_shard(folder / name, shard)
    weight_map = {tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    total = sum(tensor.nbytes for tensor in tensors)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
    eos = list(texts.eos_token_ids)
    _write_json(folder / "config.json", {**config, "torch_dtype": "bfloat16", "eos_token_id": eos[0]})
    _write_json(folder / "generation_config.json", {"eos_token_id": eos})
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": texts.bos_token,
            "eos_token": texts.eos_token,
            "chat_template": texts.chat_template,
        },
    )
    (folder / "tokenizer.json").write_text(texts.tokenizer_json, encoding="utf-8")


def random_tensors(config: Mapping[str, Any], seed: int) -> list[Stored]:
    """All tensors of a Qwen2 or GLM checkpoint: seeded random matrices and biases, norms of ones."""
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        shapes[f"{prefix}.input_layernorm.weight"] = (hidden,)
        shapes |= _attention_shapes(config, f"{prefix}.self_attn")
        shapes[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
        shapes |= _mlp_shapes(config, f"{prefix}.mlp")
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    return [_random_tensor(name, shape, (seed, index)) for index, (name, shape) in enumerate(shapes.items())]


def _attention_shapes(config: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """Qwen2 has biases without saying so, GLM says that it has none."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    kv = config.get("head_dim", hidden // heads) * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, rows in (("q", hidden), ("k", kv), ("v", kv)):
        shapes[f"{prefix}.{name}_proj.weight"] = (rows, hidden)
        if config.get("attention_bias", True):
            shapes[f"{prefix}.{name}_proj.bias"] = (rows,)
    shapes[f"{prefix}.o_proj.weight"] = (hidden, hidden)
    return shapes


def _mlp_shapes(config: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """GLM keeps gate and up in one tensor."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    down = {f"{prefix}.down_proj.weight": (hidden, inner)}
    if config["model_type"] == "glm":
        return {f"{prefix}.gate_up_proj.weight": (2 * inner, hidden), **down}
    return {f"{prefix}.gate_proj.weight": (inner, hidden), f"{prefix}.up_proj.weight": (inner, hidden), **down}


def _random_tensor(name: str, shape: tuple[int, ...], seed: tuple[int, int]) -> Stored:
    def pieces() -> Iterator[Array]:
        generator, size = np.random.default_rng(seed), math.prod(shape)
        for begin in range(0, size, _PIECE):
            count = min(_PIECE, size - begin)
            if name.endswith("norm.weight"):
                yield np.ones(count, dtype=np.float32)
            else:
                yield generator.standard_normal(count, dtype=np.float32) * _SPREAD

    return Stored(name, shape, pieces)


def _shards(tensors: Sequence[Stored], shard_bytes: int) -> Iterator[list[Stored]]:
    shard: list[Stored] = []
    for tensor in tensors:
        if shard and sum(other.nbytes for other in shard) + tensor.nbytes > shard_bytes:
            yield shard
            shard = []
        shard.append(tensor)
    yield shard


def _write_shard(path: Path, tensors: Sequence[Stored]) -> None:
    """The safetensors format: length of the header, header, data."""
    header, offset = {}, 0
    for tensor in tensors:
        place = [offset, offset + tensor.nbytes]
        header[tensor.name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": place}
        offset = place[1]
    # transformers looks for this note and refuses a file without it.
    encoded = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors:
            _write_values(file, tensor)


def _write_values(file: BinaryIO, tensor: Stored) -> None:
    for values in tensor.pieces():
        for begin in range(0, values.size, _PIECE):
            file.write(as_bfloat16(values[begin : begin + _PIECE]).tobytes())


def as_bfloat16(values: Array) -> npt.NDArray[np.uint16]:
    """The upper halves of finite float32 values, rounded to nearest, ties to even."""
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    upper: npt.NDArray[np.uint16] = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    return upper


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def write_checkpoint(kind: str, source: Checkpoint, folder: Path, seed: int = 0) -> None:
    """Write one of `RANDOM_SHAPES` with the tokenizer of a source, or (``smollm2``) the source itself, dequantised."""
    if kind in RANDOM_SHAPES:
        config = RANDOM_SHAPES[kind]
        write_folder(folder, config, source.tokenizer(), random_tensors(config, seed), SHARD_BYTES)
        return
    tensors = [
        Stored(name, source.shape(name), lambda name=name: iter([source.read(name).reshape(-1)]))  # type: ignore[misc]
        for name in source.names()
    ]
    write_folder(folder, source.config, source.tokenizer(), tensors, SHARD_BYTES)


@click.command()
@click.argument("kind", type=click.Choice(["smollm2", *RANDOM_SHAPES]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Of the random weights.")
def main(kind: str, folder: Path, seed: int) -> None:
    """Write the checkpoint KIND to FOLDER. All have the tokenizer of SmolLM2, qwen2 with rows to spare."""
    write_checkpoint(kind, open_checkpoint(str(fetch_model())), folder, seed)


if __name__ == "__main__":
    main()
