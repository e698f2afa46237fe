"""What an exported attention computes at run time: its scale, and whether its mask is causal and nothing else.

The mask of an exported graph is the result of dozens of nodes, written differently in every architecture. Instead of
recognising them, it is read at run time, at the start of a sequence, in its middle and at its far end: sliding windows,
ALiBi and chunked masks show there, and their layers keep the attention that was exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edge_autoglm.export.optimum.attention import Attention
from edge_autoglm.export.optimum.ir_tools import as_scalar, constant_of, is_constant
from edge_autoglm.export.optimum.mismatch import NoMatch
from edge_autoglm.export.optimum.probe import Arrays, Probe

_FARTHEST = 4096
"""Tokens to look back at most: a wider window than this would go unseen, and none of that size is known."""
_FORBIDDEN = -1e4
"""``exp`` of this is 0 in float32, and no mask in use is weaker."""


def scales(model: Path, layers: Sequence[Attention], context_length: int) -> list[float]:
    """The scale of each layer's scores.

    Args:
        model: The graph as exported.
        layers: What was found in it.
        context_length: Of the model, in tokens.

    Raises:
        NoMatch: A mask is not purely causal, or a scale is not one number.
    """
    if any(is_constant(layer.mask) for layer in layers):
        raise NoMatch("its mask does not depend on the length of the sequence")
    probe = Probe(model, sorted({_name(value) for layer in layers for value in _unknown(layer)}))
    far = min(context_length, _FARTHEST) - 8
    seen: Arrays = {}
    for past, count in ((0, 9), (5, 3), (3, 1), (far, 8)):
        if past < 0 or past + count > context_length:
            continue
        seen = probe.run(np.zeros((1, count), dtype=np.int64), past)
        for layer in layers:
            _check_causal(seen[_name(layer.mask)], past, count)
    return [_scale(layer, seen) for layer in layers]


def _unknown(layer: Attention) -> list[ir.Value]:
    numbers = [*layer.factors, *([layer.divisor] if layer.divisor is not None else [])]
    return [layer.mask, *(value for value in numbers if not is_constant(value))]


def _check_causal(mask: npt.NDArray[np.float32], past: int, count: int) -> None:
    if mask.ndim > 4 or mask.shape[-1] != past + count or mask.shape[-2] not in (1, count):
        raise NoMatch(f"its mask is of shape {mask.shape}")
    rows = np.broadcast_to(mask, (*mask.shape[:-2], count, past + count))
    allowed = np.arange(past + count) <= past + np.arange(count)[:, None]
    if np.any(rows[..., allowed] != 0) or np.any(rows[..., ~allowed] > _FORBIDDEN):
        raise NoMatch("its mask is more than causal (a window, ALiBi or a learned bias)")


def _scale(layer: Attention, seen: Arrays) -> float:
    product = 1.0
    for value in layer.factors:
        product *= _number(value, seen)
    return product if layer.divisor is None else product / _number(layer.divisor, seen)


def _number(value: ir.Value, seen: Arrays) -> float:
    number = as_scalar(constant_of(value) if is_constant(value) else seen[_name(value)])
    if number is None:
        raise NoMatch("its scores are scaled by more than one number")
    return number


def _name(value: ir.Value) -> str:
    return value.name or ""  # every value of a graph that was read from a file has one
