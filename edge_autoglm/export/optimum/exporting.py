"""A checkpoint folder through ``transformers`` and ``optimum-onnx`` to a graph, and what the model itself answers.

The only module that needs torch; it is imported when a model is exported this way. Code that comes with a checkpoint is
never run, pickled weights are never loaded and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from optimum.exporters.onnx import onnx_export_from_model

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.optimum.check import Reference, sample_tokens

_TASK = "text-generation-with-past"
_CONTEXT_FIELDS = ("max_position_embeddings", "max_seq_len", "seq_length")
_LIBRARIES = ("transformers", "optimum", "torch.onnx")


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph as Optimum wrote it.

    Attributes:
        graph: The ``.onnx`` file.
        family: ``model_type`` of the configuration.
        hidden_size, heads, context_length: From the configuration.
        parameters: Number of weights; shared ones count once.
        reference: What the model in torch answers on a few tokens.
    """

    graph: Path
    family: str
    hidden_size: int
    heads: int
    context_length: int
    parameters: int
    reference: Reference


def export_with_optimum(source: Path, folder: Path) -> Exported:
    """Load a checkpoint in float32 and write its graph to an empty folder.

    Raises:
        UnsupportedModel: transformers or Optimum does not know the architecture, a field or tensor is missing, or the
            weights hold NaN or infinities.
    """
    with _quiet():
        model = _load(source)
        facts = _facts(source, model)
        reference = _reference(source, model)
        try:
            onnx_export_from_model(model, output=folder, task=_TASK, do_validation=False, device="cpu")
        except Exception as error:  # torch.onnx and Optimum raise whatever the model's code runs into
            raise _unsupported(source, "Optimum does not export it", error) from error
    return Exported(graph=folder / "model.onnx", reference=reference, **facts)


def _load(source: Path) -> Any:
    auto: Any = transformers.AutoModelForCausalLM
    try:
        model, info = auto.from_pretrained(
            str(source),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises a dozen unrelated types for a bad configuration
        raise _unsupported(source, "transformers does not load it", error) from error
    if info["missing_keys"]:  # transformers would make these up at random
        raise UnsupportedModel(
            f"{source}: tensor {sorted(info['missing_keys'])[0]} is missing",
            "Get the whole checkpoint, or fix its config.",
        )
    return model.float().eval()


def _facts(source: Path, model: Any) -> dict[str, Any]:
    config = model.config
    return {
        "family": str(config.model_type),
        "hidden_size": _positive(source, config, ("hidden_size",)),
        "heads": _positive(source, config, ("num_attention_heads",)),
        "context_length": _positive(source, config, _CONTEXT_FIELDS),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def _positive(source: Path, config: Any, fields: Sequence[str]) -> int:
    values = [getattr(config, field, None) for field in fields]
    found = [value for value in values if isinstance(value, int) and value > 0]
    if not found:
        raise UnsupportedModel(
            f"{source}: config field {fields[0]!r} is {values[0]!r}", "It must be a positive integer; fix config.json."
        )
    return found[0]


def _reference(source: Path, model: Any) -> Reference:
    tokens = sample_tokens(model.config.vocab_size)
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(tokens), use_cache=False).logits.numpy()
    except Exception as error:  # whatever the model's code runs into
        raise _unsupported(source, "transformers does not run it", error) from error
    if not np.isfinite(logits).all():
        raise UnsupportedModel(
            f"{source}: the model's logits are not finite; its weights hold NaN or infinities",
            "Get the checkpoint again, from a source with sound weights.",
        )
    return Reference(tokens, logits)


def _unsupported(source: Path, what: str, error: Exception) -> UnsupportedModel:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UnsupportedModel(
        f"{source}: {what}: {lines[0]}", "Use a causal language model that transformers and Optimum both know."
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' remarks to developers from whoever exports a model; errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    levels = [logger.level for logger in loggers]
    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    try:
        bars.disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
