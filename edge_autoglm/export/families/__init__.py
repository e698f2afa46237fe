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
    config = ConfigReader(checkpoint.config, checkpoint.location)
    architecture = _architecture(config)
    family = _FAMILIES.get(architecture)
    if family is None:
        raise UnknownArchitecture(
            f"{checkpoint.location}: architecture {architecture} is not one this exporter builds",
            f"Use a checkpoint of one of: {', '.join(sorted(_FAMILIES))}.",
        )
    spec = family(config)
    _check_tensors(checkpoint, spec)
    return spec


def _architecture(config: ConfigReader) -> str:
    """The first that is named; a checkpoint that names none is of no known one."""
    value = config.get("architectures")
    if value is None or value == []:
        return "(none named)"
    if not isinstance(value, list) or not isinstance(value[0], str):
        raise config.complaint("architectures", f"is {str(value)[:80]}", "It must be a list of texts; fix config.json.")
    return value[0]


def _check_tensors(checkpoint: Checkpoint, spec: DecoderSpec) -> None:
    present = set(checkpoint.names())
    for name, shape in spec.shapes().items():
        if name not in present:
            raise UnsupportedModel(f"{checkpoint.location}: tensor {name} is missing", _cure(checkpoint))
        if checkpoint.shape(name) != shape:
            raise UnsupportedModel(
                f"{checkpoint.location}: tensor {name} has shape {checkpoint.shape(name)}, the config says {shape}",
                _cure(checkpoint),
            )


def _cure(checkpoint: Checkpoint) -> str:
    if checkpoint.config.get("quantization_config"):
        return "Its config says that it is quantized: use the checkpoint that it was made from."
    return "Get the whole checkpoint, with the config.json that belongs to its weights."
