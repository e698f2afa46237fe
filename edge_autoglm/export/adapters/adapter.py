"""A PEFT LoRA adapter on disk: which weight each of its tensors is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, SourceNotFound, UnsupportedModel
from edge_autoglm.export.adapters.settings import CONFIG_NAME, LoraSettings, read_settings
from edge_autoglm.export.adapters.weights_file import SAVE_AGAIN, read_tensors, weights_path
from edge_autoglm.export.sources.safetensors_header import TensorEntry

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<factor>[AB])(\.default)?\.weight")
_EMBEDDING_FACTOR = re.compile(r"(?P<module>.+)\.lora_embedding_(?P<factor>[AB])(\.default)?")
_WHOLE = re.compile(r"(?P<module>.+?)(?P<base>\.base_layer)?(\.modules_to_save)?(\.default)?\.(?P<kind>weight|bias)")
_EMBEDDINGS = ("embed_tokens", "lm_head")
"""Modules that PEFT saves as a whole without naming them in ``modules_to_save``, when their factors are trained."""
_MERGE_STEP = 1 << 20
"""Weights that are changed at a time."""
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class LowRank:
    """The difference ``scale * B @ A`` of one weight.

    Attributes:
        a: ``[rank, in]``.
        b: ``[out, rank]``.
        scale: Factor of the product.
        transposed: Whether the weight is ``[in, out]``, so that the product is transposed.
    """

    a: TensorEntry
    b: TensorEntry
    scale: float
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight."""
        shape = (self.b.shape[0], self.a.shape[1])
        return (shape[1], shape[0]) if self.transposed else shape

    def add_to(self, weight: npt.NDArray[np.float32]) -> None:
        """Add the difference in place.

        Raises:
            NotAModel: A factor holds NaN or an infinity.
            SourceError: The file has changed since it was opened.
        """
        a, b = _finite(self.a), _finite(self.b)
        left, right = (a.T, b.T) if self.transposed else (b, a)
        left = left * np.float32(self.scale)
        rows = max(1, _MERGE_STEP // weight.shape[1])
        with np.errstate(all="ignore"):  # what overflows is found, with its name, where the weight is used
            for start in range(0, len(weight), rows):
                weight[start : start + rows] += left[start : start + rows] @ right


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    Attributes:
        location: Its folder.
        low_rank: Name of a weight in the checkpoint -> its difference.
        whole: Name of a tensor in the checkpoint -> what takes its place, before a difference is added.
    """

    location: str
    low_rank: Mapping[str, LowRank]
    whole: Mapping[str, TensorEntry]

    def changes(self, name: str) -> bool:
        """Whether it is for that tensor."""
        return name in self.low_rank or name in self.whole


def open_adapter(folder: Path) -> Adapter:
    """Open an adapter; its factors stay on disk until they are merged.

    Args:
        folder: Holds ``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT saves them.

    Raises:
        SourceNotFound: There is no such folder or file.
        NotAModel: A file is malformed or pickled, or a tensor is not for a weight.
        UnsupportedModel: It is not a plain LoRA adapter; names the field.
    """
    if not (folder / CONFIG_NAME).is_file():
        raise SourceNotFound(f"{folder} is no adapter folder (no {CONFIG_NAME})", "Give a folder that PEFT has saved.")
    settings = read_settings(folder)
    path, entries = weights_path(folder), read_tensors(folder)
    factors, whole = _sorted_out(entries, settings)
    low_rank = {f"{module}.weight": _low_rank(path, module, pair, settings) for module, pair in factors.items()}
    if not low_rank and not whole:
        raise NotAModel(f"{path} holds no tensors", SAVE_AGAIN)
    return Adapter(str(folder), low_rank, whole)


_Factors = dict[str, dict[str, TensorEntry]]


def _sorted_out(entries: Mapping[str, TensorEntry], settings: LoraSettings) -> tuple[_Factors, dict[str, TensorEntry]]:
    """Factors by module, and tensors that replace others by their names in the checkpoint."""
    factors: _Factors = {}
    whole: dict[str, TensorEntry] = {}
    for name, entry in entries.items():
        rest = name.removeprefix(_PREFIX)
        if rest == name or len(name) > _MAX_NAME:
            raise NotAModel(
                f"{entry.file}: the name of tensor {name[:_MAX_NAME]!r} is not {_PREFIX}<module>", SAVE_AGAIN
            )
        if found := _FACTOR.fullmatch(rest):
            key = found["factor"]
        elif found := _EMBEDDING_FACTOR.fullmatch(rest):
            key = f"embedding_{found['factor']}"
        elif (found := _WHOLE.fullmatch(rest)) and _may_replace(found, settings):
            key = ""
        else:
            raise UnsupportedModel(
                f"{entry.file}: tensor {name!r} is neither a LoRA factor nor of a module in modules_to_save",
                "Merge the adapter with PEFT (merge_and_unload, save_pretrained) and export the result.",
            )
        target = factors.setdefault(found["module"], {}) if key else whole
        place = key or f"{found['module']}.{found['kind']}"
        if place in target:
            raise NotAModel(f"{entry.file}: tensor {name!r} is there twice, with and without '.default'", SAVE_AGAIN)
        target[place] = entry
    return factors, whole


def _may_replace(found: re.Match[str], settings: LoraSettings) -> bool:
    module = found["module"]
    return bool(found["base"]) or module.split(".")[-1] in _EMBEDDINGS or settings.replaces(module)


def _low_rank(path: Path, module: str, pair: Mapping[str, TensorEntry], settings: LoraSettings) -> LowRank:
    of_embedding = any(key.startswith("embedding_") for key in pair)
    prefix = "embedding_" if of_embedding else ""
    if pair.keys() != {f"{prefix}A", f"{prefix}B"}:
        present = ", ".join(repr(entry.name) for entry in pair.values())
        raise NotAModel(f"{path}: of the factors A and B of {module}, there is only {present}", SAVE_AGAIN)
    a, b, rank = pair[f"{prefix}A"], pair[f"{prefix}B"], settings.rank_of(module)
    for entry, axis in ((a, 0), (b, 1)):
        if len(entry.shape) != 2 or entry.shape[axis] != rank:
            raise NotAModel(
                f"{path}: tensor {entry.name!r} has the shape {entry.shape}, but its rank is {rank} by "
                f"{settings.path.name} (r or rank_pattern)",
                "Use the configuration that belongs to these weights.",
            )
    return LowRank(a, b, settings.scale_of(module), transposed=of_embedding or settings.transposed)


def _finite(entry: TensorEntry) -> npt.NDArray[np.float32]:
    values = entry.read()
    if not np.isfinite(values).all():
        raise NotAModel(
            f"{entry.file}: tensor {entry.name!r} holds NaN or infinite values",
            "Train the adapter again, or find a sound copy.",
        )
    return values
