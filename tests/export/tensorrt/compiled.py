"""What TensorRT-RTX made of a network, read out of the plan's bytes.

No interface tells it without a GPU, but the compiler's result lies in a plan as text: kernels, each with the layers
that it computes, and what goes in and out. Nobody promises that form, so who reads it looks for what must be there.
"""

from __future__ import annotations

import re
from pathlib import Path

_LISTS = re.compile(r'\n  (inputs|outputs)=\{ ([^}]*"(?:input_ids|logits)[^}]*)')
_KERNEL = re.compile(r'\n  (?:function|runtime_fusion)=\{ [^\n]*layers="([^"\n]*)"')
_PROFILE = re.compile(r"( \[profile \d\])?\.1$")
"""Ends the names of tensors."""


def _text(plan: Path) -> str:
    return plan.read_bytes().decode("latin-1")


def gpus(plan: Path) -> set[str]:
    """Of the plan (``sm89``)."""
    return {
        gpu for found in re.findall(r"accelerators=\{([^}]*)\}", _text(plan)) for gpu in found.split() if gpu != "*"
    }


def kernels(plan: Path) -> list[set[str]]:
    """Layers that each kernel computes, of all profiles."""
    return [set(re.findall(r"\[ONNX Layer: ([^]]*)\]", found)) for found in _KERNEL.findall(_text(plan))]


def bound(plan: Path) -> list[tuple[set[str], set[str]]]:
    """Names of what each profile reads and what it makes; an input that is updated in place has its output's name."""
    found: dict[str, list[set[str]]] = {"inputs": [], "outputs": []}
    for kind, names in _LISTS.findall(_text(plan)):
        found[kind].append({_PROFILE.sub("", name) for name in re.findall('"([^"]*)"', names)})
    complete = [names for names in found["outputs"] if len(names) > 1]  # the head's own graph makes logits, too
    return list(zip(found["inputs"], complete, strict=True))
