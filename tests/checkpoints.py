"""Tiny random checkpoints in the Hugging Face layout, written by hand: no torch, no safetensors package."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VOCAB_SIZE = 320
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "vocab_size": VOCAB_SIZE,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# Besides some words: tokens of half a Chinese character, and one that ends one character and begins the next.
_BYTE_MERGES = ((b"\xa0", b"\xe5"), (b"\xe4", b"\xbd"), (b"\xf0", b"\x9f"), (b"\x99", b"\x82"))
_WORDS = " the| and| is| of| a| film| good| bad| this| text|ing|tion|positive|negative| great|movie|user|answer|im|end"


def byte_to_char() -> dict[int, str]:
    """The printable stand-ins of GPT-2's byte-level BPE."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def _merges() -> list[tuple[str, str]]:
    chars = byte_to_char()
    merges = [("".join(chars[b] for b in left), "".join(chars[b] for b in right)) for left, right in _BYTE_MERGES]
    for word in _WORDS.split("|"):
        pieces = [chars[byte] for byte in word.encode()]
        for end in range(1, len(pieces)):
            pair = ("".join(pieces[:end]), pieces[end])
            if pair not in merges:
                merges.append(pair)
    return merges[: VOCAB_SIZE - len(SPECIAL_TOKENS) - 256]


def tiny_tokenizer_json() -> str:
    """A byte-level BPE of 320 tokens: three special ones, the bytes, a few words and some split characters."""
    merges = _merges()
    tokens = [*SPECIAL_TOKENS, *byte_to_char().values(), *(left + right for left, right in merges)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": text, **flags} for i, text in enumerate(SPECIAL_TOKENS)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [f"{left} {right}" for left, right in merges],
        },
    }
    return json.dumps(content, ensure_ascii=False)


def _tensors(seed: int, tied: bool) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)

    def linear(rows: int, columns: int) -> npt.NDArray[np.float32]:
        weights: npt.NDArray[np.float32] = rng.standard_normal((rows, columns), dtype=np.float32)
        return weights / np.float32(columns**0.5)

    def norm() -> npt.NDArray[np.float32]:
        weights: npt.NDArray[np.float32] = rng.standard_normal(64, dtype=np.float32)
        return weights * np.float32(0.1) + np.float32(1.0)

    tensors = {"model.embed_tokens.weight": linear(VOCAB_SIZE, 64) * np.float32(2.0)}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        tensors |= {
            prefix + "input_layernorm.weight": norm(),
            prefix + "self_attn.q_proj.weight": linear(64, 64),
            prefix + "self_attn.k_proj.weight": linear(32, 64),
            prefix + "self_attn.v_proj.weight": linear(32, 64),
            prefix + "self_attn.o_proj.weight": linear(64, 64),
            prefix + "post_attention_layernorm.weight": norm(),
            prefix + "mlp.gate_proj.weight": linear(96, 64),
            prefix + "mlp.up_proj.weight": linear(96, 64),
            prefix + "mlp.down_proj.weight": linear(64, 96),
        }
    tensors["model.norm.weight"] = norm()
    if not tied:
        tensors["lm_head.weight"] = linear(VOCAB_SIZE, 64) * np.float32(2.0)
    return tensors


def _encoded(array: npt.NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "BF16":
        bits = array.view(np.uint32)
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (rounded >> np.uint32(16)).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def write_safetensors(path: Path, tensors: dict[str, npt.NDArray[np.float32]], dtype: str = "F32") -> None:
    """Write one safetensors file: length of the header, JSON header, data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs: list[bytes] = []
    offset = 0
    for name, array in tensors.items():
        blob = _encoded(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def _write_shards(folder: Path, tensors: dict[str, npt.NDArray[np.float32]], shards: int, dtype: str) -> None:
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part: Iterable[str] = names[shard::shards]
        write_safetensors(folder / file, {name: tensors[name] for name in part}, dtype)
        weight_map |= dict.fromkeys(names[shard::shards], file)
    index = {"metadata": {"total_size": sum(array.nbytes for array in tensors.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def write_tiny_llama(folder: Path, seed: int = 0, tied: bool = True, shards: int = 1, dtype: str = "F32") -> Path:
    """Write a random Llama of 2 layers with a 320-token byte-level BPE and a ChatML template.

    Args:
        folder: Made if missing.
        seed: Of the weights.
        tied: Whether the head shares the embedding; otherwise ``lm_head.weight`` is there.
        shards: 1 writes ``model.safetensors``; more write shards and an index.
        dtype: ``F32``, ``F16`` or ``BF16``.

    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = _tensors(seed, tied)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
    else:
        _write_shards(folder, tensors, shards, dtype)
    torch_dtype = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype]
    config = _CONFIG | {"tie_word_embeddings": tied, "torch_dtype": torch_dtype}
    tokenizer_config = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "add_bos_token": False,
        "chat_template": CHAT_TEMPLATE,
        "tokenizer_class": "GPT2Tokenizer",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tiny_tokenizer_json(), encoding="utf-8")
    return folder
