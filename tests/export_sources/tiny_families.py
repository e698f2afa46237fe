"""Tiny random models of every architecture that is read from GGUF: Hugging Face tensors, and the file of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from tests.export_sources.tiny_gguf import permute, tiny_metadata, write_gguf

Tensors = dict[str, npt.NDArray[np.float32]]
HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCAB = 64, 96, 4, 2, 16, 7, 320
_QUERY, _KEY = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
_MATRICES = {
    "self_attn.q_proj": (_QUERY, HIDDEN),
    "self_attn.k_proj": (_KEY, HIDDEN),
    "self_attn.v_proj": (_KEY, HIDDEN),
    "self_attn.o_proj": (HIDDEN, _QUERY),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
_FUSED = {
    "self_attn.qkv_proj": (_QUERY + 2 * _KEY, HIDDEN),
    "self_attn.o_proj": (HIDDEN, _QUERY),
    "mlp.gate_up_proj": (2 * INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
_NORMS = {"input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,)}
_HEAD_NORMS = {"self_attn.q_norm": (HEAD_DIM,), "self_attn.k_norm": (HEAD_DIM,)}


@dataclass(frozen=True)
class TinyFamily:
    """One architecture.

    Attributes:
        name: ``general.architecture``.
        modules: Of a layer -> shape of the weight.
        biased: Modules of a layer with a bias.
        tied: Whether there is no ``lm_head``.
        metadata: Fields besides the common ones.
    """

    name: str
    modules: dict[str, tuple[int, ...]]
    biased: tuple[str, ...] = ()
    tied: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def tensors(self) -> Tensors:
        """As a Hugging Face checkpoint has them."""
        rng = np.random.default_rng(3)
        shapes = {"model.embed_tokens.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,)}
        if not self.tied:
            shapes["lm_head.weight"] = (VOCAB, HIDDEN)
        for layer in range(LAYERS):
            for module, shape in self.modules.items():
                shapes[f"model.layers.{layer}.{module}.weight"] = shape
                if module in self.biased:
                    shapes[f"model.layers.{layer}.{module}.bias"] = shape[:1]
        return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}

    def write(self, path: Path, kind: str = "F32") -> Path:
        """Write them as llama.cpp's converter does."""
        architecture = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == self.name)
        names = gguf.get_tensor_name_map(architecture, LAYERS)
        stored = {}
        for name, values in self.tensors().items():
            module = name.split(".")[-2]
            if self.name == "gemma3" and name.endswith("norm.weight"):
                values = values + np.float32(1)
            if self.name == "llama" and module in ("q_proj", "k_proj"):
                values = permute(values, HEADS if module == "q_proj" else KV_HEADS)
            stored[names.get_name(name, try_suffixes=(".weight", ".bias"))] = values
        return write_gguf(path, self._metadata(), stored, kind, self.name)

    def _metadata(self) -> dict[str, Any]:
        common = {key: value for key, value in tiny_metadata().items() if key.startswith("tokenizer.")}
        common["tokenizer.ggml.padding_token_id"] = 0
        fields = {
            "embedding_length": HIDDEN,
            "feed_forward_length": INNER,
            "block_count": LAYERS,
            "attention.head_count": HEADS,
            "attention.head_count_kv": KV_HEADS,
            "attention.layer_norm_rms_epsilon": 1e-6,
            "context_length": 4096,
            "rope.freq_base": 1e6,
        }
        return common | {f"{self.name}.{key}": value for key, value in (fields | self.metadata).items()}


_STATED_HEAD = {"attention.key_length": HEAD_DIM, "attention.value_length": HEAD_DIM}
FAMILIES = {
    family.name: family
    for family in (
        TinyFamily("llama", _MATRICES | _NORMS, metadata={"rope.dimension_count": HEAD_DIM}),
        TinyFamily("qwen2", _MATRICES | _NORMS, biased=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        TinyFamily("qwen3", _MATRICES | _NORMS | _HEAD_NORMS, tied=True, metadata=_STATED_HEAD),
        TinyFamily(
            "gemma3",
            _MATRICES
            | _NORMS
            | _HEAD_NORMS
            | {"pre_feedforward_layernorm": (HIDDEN,), "post_feedforward_layernorm": (HIDDEN,)},
            tied=True,
            metadata=_STATED_HEAD | {"attention.sliding_window": 32},
        ),
        TinyFamily(
            "phi3",
            _FUSED | _NORMS,
            metadata={
                "rope.dimension_count": HEAD_DIM,
                "rope.scaling.original_context_length": 4096,
                "attention.sliding_window": 2047,
            },
        ),
    )
}
