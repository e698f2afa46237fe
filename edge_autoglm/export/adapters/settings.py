"""What an ``adapter_config.json`` of PEFT says about merging; what it says beyond that is refused by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.sources.text_files import read_json

T = TypeVar("T")
CONFIG_NAME = "adapter_config.json"
_WITHOUT_EFFECT = """
    task_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules exclude_modules
    layers_to_transform layers_pattern lora_dropout megatron_config megatron_core loftq_config eva_config corda_config
    lora_ga_config velora_config runtime_config qalora_group_size
""".split()  # noqa: SIM905 - names in running text
# Fields about training, or about which modules have factors: their names tell.
_MERGED = ("r", "lora_alpha", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save")
_PLAIN_START = (None, True, False, "gaussian", "eva", "orthogonal")
"""Values of ``init_lora_weights`` that leave the weights of the base model alone; PiSSA and others change them."""
_MAX_PATTERN = 200
_MAX_REPEATS = 2
_MAX_ALPHA = 1e6
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_MERGE_THERE = "Merge it with PEFT (merge_and_unload, save_pretrained) and export the result."
_FIX = f"Fix {CONFIG_NAME}, or save the adapter again with PEFT."


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """How factors become a difference of weights (Hu et al. 2021; rank-stabilised: Kalajdzievski 2023).

    Attributes:
        path: The file, for messages.
        rank: Of the factors, where no pattern says otherwise.
        alpha: Numerator of the scale, likewise.
        rank_pattern: Pattern of module names -> rank.
        alpha_pattern: Likewise.
        rank_stabilised: Whether the scale is ``alpha / sqrt(rank)``; otherwise it is ``alpha / rank``.
        transposed: Whether linear weights are ``[in, out]``.
        modules_to_save: Ends of the names of modules that are replaced as a whole.
    """

    path: Path
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rank_stabilised: bool
    transposed: bool
    modules_to_save: tuple[str, ...]

    def rank_of(self, module: str) -> int:
        """Rank of a module's factors."""
        return _matching(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """What the product of a module's factors is multiplied by."""
        rank = self.rank_of(module)
        return _matching(self.alpha_pattern, module, self.alpha) / (math.sqrt(rank) if self.rank_stabilised else rank)

    def replaces(self, module: str) -> bool:
        """Whether a module, or one that holds it, is replaced as a whole."""
        parts = module.split(".")
        holders = [".".join(parts[: end + 1]) for end in range(len(parts))]
        return any(holder.endswith(saved) for holder in holders for saved in self.modules_to_save)


def read_settings(folder: Path) -> LoraSettings:
    """Read the configuration of an adapter.

    Raises:
        UnsupportedModel: It is no LoRA adapter, or of a variant that is not merged here; names the field.
        NotAModel: The file or a field is malformed.
    """
    path = folder / CONFIG_NAME
    config = read_json(path)
    _check_variant(path, config)
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list) or not all(isinstance(name, str) and name for name in saved):
        raise _malformed(path, "modules_to_save", saved, "a list of names")
    return LoraSettings(
        path=path,
        rank=_rank(path, "r", config.get("r", 8)),
        alpha=_alpha(path, "lora_alpha", config.get("lora_alpha", 8)),
        rank_pattern={key: _rank(path, "rank_pattern", rank) for key, rank in _patterns(path, config, "rank_pattern")},
        alpha_pattern={
            key: _alpha(path, "alpha_pattern", alpha) for key, alpha in _patterns(path, config, "alpha_pattern")
        },
        rank_stabilised=bool(config.get("use_rslora")),
        transposed=bool(config.get("fan_in_fan_out")),
        modules_to_save=tuple(saved),
    )


def _check_variant(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise UnsupportedModel(
            f"{path}: peft_type is {str(config.get('peft_type'))[:40]!r}; LORA is merged here", _MERGE_THERE
        )
    for name, value in config.items():
        known = name == "peft_type" or name in _WITHOUT_EFFECT or name in _MERGED
        if name == "init_lora_weights":
            known = value in _PLAIN_START
        # Absent, false, empty: a variant that is switched off, whether its name is known here or not.
        if not known and value and not (name == "bias" and value == "none"):
            raise UnsupportedModel(
                f"{path}: {name[:40]} is {str(value)[:40]!r}, which is not merged here", _MERGE_THERE
            )


def _rank(path: Path, field: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _malformed(path, field, value, "a positive integer")
    return value


def _alpha(path: Path, field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_ALPHA:
        raise _malformed(path, field, value, "a number of a reasonable size")
    return float(value)


def _patterns(path: Path, config: Mapping[str, Any], field: str) -> list[tuple[str, Any]]:
    patterns = config.get(field) or {}
    if not isinstance(patterns, dict):
        raise _malformed(path, field, patterns, "a dictionary")
    for pattern in patterns:
        # Regular expressions of a stranger: those that could take for ever are not tried.
        repeats = sum(pattern.count(sign) for sign in "*+?{")
        if len(pattern) > _MAX_PATTERN or repeats > _MAX_REPEATS or _REPEATED_GROUP.search(pattern):
            raise _malformed(path, field, pattern, "a plain pattern of module names")
        try:
            re.compile(_whole(pattern))
        except re.error as error:
            raise _malformed(path, field, pattern, f"a regular expression ({error})") from error
    return list(patterns.items())


def _matching(patterns: Mapping[str, T], module: str, default: T) -> T:
    """As PEFT's ``get_pattern_key`` does it: the first pattern that matches the end of the name, from a dot on."""
    return next((value for key, value in patterns.items() if re.match(_whole(key), module)), default)


def _whole(pattern: str) -> str:
    return rf"(.*\.)?({pattern})$"


def _malformed(path: Path, field: str, value: Any, expected: str) -> NotAModel:
    return NotAModel(f"{path}: {field} is {str(value)[:80]!r}, not {expected}", _FIX)
