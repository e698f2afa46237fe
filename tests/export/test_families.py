"""A family describes what it knows and refuses the rest, naming the field or the tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families import describe
from edge_autoglm.export.families.llama import describe as describe_llama
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_tiny_llama

_CONFIG: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}


def test_parameters_of_a_published_model_add_up() -> None:
    # TinyLlama 1.1B: the number its authors publish.
    assert describe_llama(ConfigReader(_CONFIG, "config.json")).parameters == 1_100_048_384


def test_both_spellings_of_the_rope_base_are_read() -> None:
    old = describe_llama(ConfigReader({**_CONFIG, "rope_theta": 5e5}, "config.json"))
    nested = {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}
    assert describe_llama(ConfigReader({**_CONFIG, **nested}, "config.json")) == old
    frequencies = old.attention[0].rope.inverse_frequencies
    assert frequencies[:2] == pytest.approx((1.0, 5e5 ** (-2 / 64)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_act", "gelu"),
        ("attention_bias", True),
        ("num_key_value_heads", 5),
        ("num_hidden_layers", 0),
        ("hidden_size", "2048"),
        ("rms_norm_eps", -1.0),
        ("rms_norm_eps", float("nan")),
        ("vocab_size", None),
    ],
)
def test_an_unusable_field_is_named(field: str, value: object) -> None:
    with pytest.raises(UnsupportedModel, match=rf"config\.json: config field '{field}'"):
        describe_llama(ConfigReader({**_CONFIG, field: value}, "config.json"))


def test_an_unknown_rope_type_is_named() -> None:
    scaling = {"rope_type": "yarn", "factor": 4.0}
    with pytest.raises(UnsupportedModel, match=r"rope_scaling: config field 'rope_type' is 'yarn'"):
        describe_llama(ConfigReader({**_CONFIG, "rope_scaling": scaling}, "config.json"))


def _edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path)
    _edit_config(folder, architectures=["MambaForCausalLM"])
    with pytest.raises(UnsupportedModel, match=r"MambaForCausalLM.*LlamaForCausalLM"):
        describe(open_checkpoint(str(folder)))


def test_a_missing_and_a_misshapen_tensor_are_named(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path)
    _edit_config(folder, num_hidden_layers=3)
    with pytest.raises(UnsupportedModel, match=r"model\.layers\.2\..*\.weight is missing"):
        describe(open_checkpoint(str(folder)))
    _edit_config(folder, num_hidden_layers=2, intermediate_size=80)
    with pytest.raises(UnsupportedModel, match=r"mlp\.gate_proj\.weight has shape \(96, 64\)"):
        describe(open_checkpoint(str(folder)))
