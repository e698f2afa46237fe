"""Rotary frequencies from a configuration: the rope types that the families of this package come with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.spec import Rope

Frequencies = npt.NDArray[np.float64]

_CURE = "Use a checkpoint whose rope type is one of: default, linear, llama3."
_PART = "partial_rotary_factor"
_HIGHEST_BASE = 1e12


def read_rope(
    config: ConfigReader,
    head_dim: int,
    *,
    interleaved: bool = False,
    layer_type: str | None = None,
    partial: float | None = None,
    base: float = 10000.0,
) -> Rope:
    """Read the rotary embedding of a model, or of its layers of one type.

    Reads the spelling of transformers 5 (``rope_parameters``, by layer type where the family has several) and the older
    one (``rope_theta``, ``rope_scaling``, ``partial_rotary_factor``).

    Args:
        config: Of the whole model.
        head_dim: Channels of a head.
        interleaved: Of the family.
        layer_type: Key within ``rope_parameters`` where that holds a dictionary a layer type.
        partial: Share of a head's channels that is rotated, where the configuration is silent; ``None`` for a family
            that rotates whole heads.
        base: Of the frequencies, where the configuration is silent.

    Raises:
        UnsupportedModel: An unknown rope type, or a malformed field.
    """
    # transformers lets the older field win where both are there.
    rope = config.section("rope_scaling" if config.get("rope_scaling") else "rope_parameters")
    if layer_type is not None and layer_type in rope:
        rope = rope.section(layer_type)
    dim = _rotated(rope if _PART in rope else config, head_dim, partial)
    theta = (rope if "rope_theta" in rope else config).number("rope_theta", base, above=1.0, below=_HIGHEST_BASE)
    plain: Frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    return Rope(tuple(_scaled(plain, rope).tolist()), interleaved)


def _rotated(owner: ConfigReader, head_dim: int, partial: float | None) -> int:
    """How many of a head's channels are rotated."""
    if partial is None:
        owner.require(_PART, (1.0,), "Use a checkpoint that rotates whole heads.")
        return head_dim
    share = owner.number(_PART, partial)
    dim = int(head_dim * share)
    if dim % 2 or not 2 <= dim <= head_dim:
        problem = f"is {share}, which rotates {dim} of a head's {head_dim} channels"
        raise owner.complaint(_PART, problem, f"It must rotate an even number from 2 to {head_dim}; fix config.json.")
    return dim


def _scaled(plain: Frequencies, rope: ConfigReader) -> Frequencies:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return plain
    if kind == "linear":
        return plain / _factor(rope)
    if kind == "llama3":
        return _llama3(plain, rope)
    if kind == "explicit":  # what a GGUF file holds of a scaling: its effect on each frequency
        factors: Frequencies = np.array(rope.numbers("frequency_factors", len(plain)))
        return plain / factors
    raise rope.complaint("rope_type", f"is {kind!r}, which is not built", _CURE)


def _factor(rope: ConfigReader) -> float:
    """How many times longer the context is than it was in training."""
    factor = rope.number("factor")
    if factor < 1:
        raise rope.complaint("factor", f"is {factor}, which shortens the context", "Fix config.json: 1 or more.")
    return factor


def _llama3(plain: Frequencies, rope: ConfigReader) -> Frequencies:
    """Frequencies that turn seldom within the original context are divided, fast ones kept (Llama 3.1 model card)."""
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    if high <= low:
        raise rope.complaint("high_freq_factor", f"is {high}, not above low_freq_factor {low}", "Fix config.json.")
    turns = rope.number("original_max_position_embeddings") * plain / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    scaled: Frequencies = plain * (kept + (1 - kept) / _factor(rope))
    return scaled
