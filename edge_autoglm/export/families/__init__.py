"""Decoder families: one declarative file each, from ``config.json`` to a `DecoderSpec`."""

from __future__ import annotations

from collections.abc import Callable

from edge_autoglm.errors import UnknownArchitecture, UnsupportedModel
from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families import gemma3, glm, glm4, llama, mistral, phi3, qwen2, qwen3
from edge_autoglm.export.spec import DecoderSpec

_FAMILIES: dict[str, Callable[[ConfigReader], DecoderSpec]] = {
    architecture: family.describe
    for family in (llama, mistral, qwen2, qwen3, glm, glm4, phi3, gemma3)
    for architecture in family.ARCHITECTURES
}


def describe(checkpoint: Checkpoint) -> DecoderSpec:
    """Describe a checkpoint's architecture and check that its tensors are what the description needs.

    Raises:
        UnknownArchitecture: There is no family file for it.
        UnsupportedModel: A configuration outside the family, a missing or misshapen tensor.
    """
    architectures = checkpoint.config.get("architectures") or ["(none named)"]
    family = _FAMILIES.get(architectures[0])
    if family is None:
        raise UnknownArchitecture(
            f"{checkpoint.location}: architecture {architectures[0]} is not one this exporter builds",
            f"Use a checkpoint of one of: {', '.join(sorted(_FAMILIES))}.",
        )
    spec = family(ConfigReader(checkpoint.config, checkpoint.location))
    _check_tensors(checkpoint, spec)
    return spec


def _check_tensors(checkpoint: Checkpoint, spec: DecoderSpec) -> None:
    present = set(checkpoint.names())
    for name, shape in spec.shapes().items():
        if name not in present:
            raise UnsupportedModel(
                f"{checkpoint.location}: tensor {name} is missing", "Get the whole checkpoint, or fix its config."
            )
        if checkpoint.shape(name) != shape:
            raise UnsupportedModel(
                f"{checkpoint.location}: tensor {name} has shape {checkpoint.shape(name)}, the config says {shape}",
                "Use the config.json that belongs to these weights.",
            )
