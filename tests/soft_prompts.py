"""PEFT prompt-tuning folders, written by hand: no torch, no PEFT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_safetensors

Embeddings = npt.NDArray[np.float32]


def rows_of(checkpoint: Path, tokens: Sequence[int]) -> Embeddings:
    """What the model looks up for some tokens ``[tokens, hidden]``: a soft prompt of them is those tokens."""
    table = open_checkpoint(str(checkpoint)).read("model.embed_tokens.weight")
    return np.ascontiguousarray(table[list(tokens)], dtype=np.float32)


def write_peft(folder: Path, embeddings: Embeddings, dtype: str = "F32", **config: Any) -> Path:
    """What PEFT saves after prompt tuning; ``config`` replaces fields."""
    folder.mkdir(parents=True)
    fields = {
        "auto_mapping": None,
        "base_model_name_or_path": "a model",
        "inference_mode": True,
        "num_attention_heads": 4,
        "num_layers": 2,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": len(embeddings),
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "task_type": "CAUSAL_LM",
        "token_dim": embeddings.shape[1],
    }
    (folder / "adapter_config.json").write_text(json.dumps(fields | config), encoding="utf-8")
    write_safetensors(folder / "adapter_model.safetensors", {"prompt_embeddings": embeddings}, dtype)
    return folder
