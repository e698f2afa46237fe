"""Rotary frequencies from a configuration: the rope types that the families of this package come with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.spec import Rope

Frequencies = npt.NDArray[np.float64]

_CURE = "Use a checkpoint whose rope type is one of: default, linear, llama3."


def read_rope(
    config: ConfigReader,
    head_dim: int,
    *,
    interleaved: bool = False,
    layer_type: str | None = None,
    partial: float = 1.0,
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
        partial: Share of a head's channels that is rotated, where the configuration is silent.
        base: Of the frequencies, where the configuration is silent.

    Raises:
        UnsupportedModel: An unknown rope type, or a malformed field.
    """
    rope = config.section("rope_parameters" if "rope_parameters" in config else "rope_scaling")
    if layer_type is not None and layer_type in rope:
        rope = rope.section(layer_type)
    owner = rope if "partial_rotary_factor" in rope else config
    dim = int(head_dim * owner.number("partial_rotary_factor", partial))
    theta = (rope if "rope_theta" in rope else config).number("rope_theta", base)
    plain: Frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    return Rope(tuple(_scaled(plain, rope).tolist()), interleaved)


def _scaled(plain: Frequencies, rope: ConfigReader) -> Frequencies:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return plain
    if kind == "linear":
        return plain / rope.number("factor")
    if kind == "llama3":
        return _llama3(plain, rope)
    if kind == "explicit":  # what a GGUF file holds of a scaling: its effect on each frequency
        factors: Frequencies = np.array(rope.numbers("frequency_factors", len(plain)))
        return plain / factors
    raise rope.complaint("rope_type", f"is {kind!r}, which is not built", _CURE)


def _llama3(plain: Frequencies, rope: ConfigReader) -> Frequencies:
    """Frequencies that turn seldom within the original context are divided, fast ones kept (Llama 3.1 model card)."""
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    if high <= low:
        raise rope.complaint("high_freq_factor", f"is {high}, not above low_freq_factor {low}", "Fix config.json.")
    turns = rope.number("original_max_position_embeddings") * plain / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    scaled: Frequencies = plain * (kept + (1 - kept) / rope.number("factor"))
    return scaled
