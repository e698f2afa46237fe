"""A PEFT prompt-tuning checkpoint on disk: trained embeddings, one a virtual token (Lester et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, SourceNotFound, UnsupportedModel
from edge_autoglm.export.adapters.settings import CONFIG_NAME
from edge_autoglm.export.adapters.weights_file import SAVE_AGAIN, read_tensors, weights_path
from edge_autoglm.export.sources.safetensors_header import TensorEntry
from edge_autoglm.export.sources.text_files import read_json

Embeddings = npt.NDArray[np.float32]

_TENSOR = "prompt_embeddings"
_INSTEAD = {
    "LORA": "Merge it while exporting: edge-autoglm export SOURCE OUT --adapter DIR.",
    "PREFIX_TUNING": "Train with prompt tuning (PromptTuningConfig): a prefix of keys and values is not imported.",
    "P_TUNING": "Train with prompt tuning (PromptTuningConfig): embeddings behind an encoder are not imported.",
}
_OTHERWISE = "Give a folder of prompt tuning (PromptTuningConfig), or merge an adapter with PEFT and export the result."


def read_soft_prompt(folder: Path, hidden_size: int) -> Embeddings:
    """The trained embeddings.

    Args:
        folder: Holds ``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT saves them.
        hidden_size: Of the model that they are for.

    Returns:
        ``[num_virtual_tokens, hidden_size]``, all finite.

    Raises:
        SourceNotFound: There is no such folder or file.
        UnsupportedModel: It is another kind of adapter, or for a model of another size; names file and field.
        NotAModel: A file is malformed, pickled, or contradicts the other one.
    """
    config = folder / CONFIG_NAME
    if not config.is_file():
        raise SourceNotFound(f"{folder} is no PEFT folder (no {CONFIG_NAME})", "Give a folder that PEFT has saved.")
    count = _check_config(config, read_json(config), hidden_size)
    entry = _entry(folder)
    if entry.shape != (count, hidden_size):
        raise NotAModel(
            f"{entry.file}: tensor {_TENSOR!r} has the shape {entry.shape}, {CONFIG_NAME} says {(count, hidden_size)}",
            "Use the configuration that belongs to these weights.",
        )
    embeddings = entry.read()
    if not np.isfinite(embeddings).all():
        raise NotAModel(
            f"{entry.file}: tensor {_TENSOR!r} holds NaN or infinite values",
            "Train the soft prompt again, or find a sound copy.",
        )
    return embeddings


def _check_config(path: Path, config: Mapping[str, Any], hidden_size: int) -> int:
    """Number of virtual tokens."""
    kind = config.get("peft_type")
    if kind != "PROMPT_TUNING":
        raise UnsupportedModel(
            f"{path}: peft_type is {str(kind)[:40]!r}; PROMPT_TUNING is imported here",
            _INSTEAD.get(str(kind), _OTHERWISE),
        )
    if config.get("task_type") not in ("CAUSAL_LM", None) or config.get("num_transformer_submodules") not in (1, None):
        raise UnsupportedModel(
            f"{path}: task_type is {str(config.get('task_type'))[:40]!r}, which is no decoder's",
            "Train the soft prompt for CAUSAL_LM.",
        )
    width, count = config.get("token_dim"), config.get("num_virtual_tokens")
    if width != hidden_size:
        raise UnsupportedModel(
            f"{path}: token_dim is {str(width)[:40]}, the bundle's model has a hidden size of {hidden_size}",
            "Import it into a bundle of the model that it was trained with.",
        )
    if type(count) is not int or count < 1:
        raise NotAModel(f"{path}: num_virtual_tokens is {str(count)[:40]!r}, not a positive integer", SAVE_AGAIN)
    return count


def _entry(folder: Path) -> TensorEntry:
    path, entries = weights_path(folder), read_tensors(folder)
    if set(entries) != {_TENSOR}:
        found = ", ".join(map(repr, sorted(entries)))[:200] or "none"
        raise NotAModel(f"{path}: the tensor {_TENSOR!r} alone is expected, found: {found}", SAVE_AGAIN)
    return entries[_TENSOR]
