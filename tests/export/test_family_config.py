"""What a family file refuses in a ``config.json``, and what it does where the configuration is silent."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import EdgeAutoGLMError, UnknownArchitecture, UnsupportedModel
from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from tests.oracles.family_cases import CASES, Config, write_case

_ABSENT = object()
ROPE = "rope_parameters"


def changed(name: str, *path: str, value: object) -> Config:
    """A case with one field replaced, or removed."""
    config = copy.deepcopy(CASES[name])
    section: Any = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    if value is _ABSENT:
        del section[path[-1]]
    return config


def described(folder: Path, name: str, config: Config) -> DecoderSpec:
    """The case's checkpoint with another configuration."""
    if not folder.exists():
        write_case(folder, CASES[name])
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return describe(open_checkpoint(str(folder)))


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("llama", ("architectures",), 7),
        ("llama", ("architectures",), [["a"]]),
        ("llama", ("architectures",), {"a": 1}),
        ("llama", ("num_hidden_layers",), 10**12),
        ("llama", ("num_hidden_layers",), 10_001),
        ("llama", ("max_position_embeddings",), 10_000_001),
        ("llama", ("max_position_embeddings",), _ABSENT),
        ("llama", ("hidden_size",), 10**30),
        ("llama", ("num_attention_heads",), True),
        ("llama", ("head_dim",), 15),
        ("llama", ("head_dim",), 12),
        ("llama", ("rms_norm_eps",), 1),
        ("llama", ("rms_norm_eps",), 0.0),
        ("llama", ("rms_norm_eps",), _ABSENT),
        ("llama", ("tie_word_embeddings",), "true"),
        ("llama", (ROPE, "rope_theta"), 1.0),
        ("llama", (ROPE, "rope_theta"), 1e12),
        ("llama", (ROPE, "rope_theta"), 10**40),
        ("llama", (ROPE, "rope_type"), "yarn"),
        ("llama", (ROPE, "rope_type"), ["linear"]),
        ("llama-linear", (ROPE, "factor"), 0.5),
        ("llama-llama3", (ROPE, "factor"), 0.5),
        ("llama-llama3", (ROPE, "high_freq_factor"), 1.0),
        ("llama-llama3", (ROPE, "original_max_position_embeddings"), None),
        ("llama", ("partial_rotary_factor",), 0.5),
        ("qwen3", (ROPE, "partial_rotary_factor"), 0.5),
        ("mistral", ("sliding_window",), 0),
        ("mistral", ("sliding_window",), 10**30),
        ("qwen2-window", ("use_sliding_window",), "false"),
        ("qwen2-window", ("max_window_layers",), "1"),
        ("qwen2-window", ("max_window_layers",), -1),
        ("qwen2-window", ("layer_types",), ["sliding_attention"]),
        ("qwen2-window", ("layer_types",), ["chunked_attention"] * 3),
        ("glm", ("attention_bias",), "no"),
        ("glm", (ROPE, "partial_rotary_factor"), 9.0),
        ("glm", (ROPE, "partial_rotary_factor"), 0.001),
        ("glm", (ROPE, "partial_rotary_factor"), 0.2),
        ("phi3", (ROPE, "partial_rotary_factor"), 10**30),
        ("gemma3", ("query_pre_attn_scalar",), -1),
        ("gemma3", ("final_logit_softcapping",), 30.0),
        ("gemma3", ("use_bidirectional_attention",), True),
        ("gemma3", ("tie_word_embeddings",), 1),
    ],
)
def test_an_unusable_field_is_named(name: str, path: tuple[str, ...], value: object, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=rf"config field '{path[-1]}'") as refusal:
        described(tmp_path / "model", name, changed(name, *path, value=value))
    assert len(str(refusal.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("value", [_ABSENT, None, []])
def test_no_architecture_is_an_unknown_one(value: object, tmp_path: Path) -> None:
    with pytest.raises(UnknownArchitecture, match=r"\(none named\)"):
        described(tmp_path / "model", "llama", changed("llama", "architectures", value=value))


@pytest.mark.parametrize(
    ("name", "field", "value", "window"),
    [
        ("mistral", "sliding_window", _ABSENT, 4096),
        ("mistral", "sliding_window", None, None),
        ("phi3", "sliding_window", _ABSENT, None),
        ("qwen2-window", "sliding_window", None, None),
        ("qwen2-window", "use_sliding_window", False, None),
        ("gemma3", "sliding_window", _ABSENT, 4096),
    ],
)
def test_a_window_that_is_not_stated_is_that_of_the_family(
    name: str, field: str, value: object, window: int | None, tmp_path: Path
) -> None:
    spec = described(tmp_path / "model", name, changed(name, field, value=value))
    assert spec.attention[1].window == window


def test_gemma_ties_its_head_unless_it_says_otherwise(tmp_path: Path) -> None:
    for value, tied in ((_ABSENT, True), (None, True), (True, True)):
        config = changed("gemma3", "tie_word_embeddings", value=value)
        assert described(tmp_path / "model", "gemma3", config).tied_head is tied
    with pytest.raises(UnsupportedModel, match=r"lm_head\.weight is missing"):
        described(tmp_path / "model", "gemma3", changed("gemma3", "tie_word_embeddings", value=False))


def test_a_scaling_of_gemma_is_for_its_full_layers_only(tmp_path: Path) -> None:
    spec = described(tmp_path / "model", "gemma3-linear", CASES["gemma3-linear"])
    local, full = spec.attention[0].rope.inverse_frequencies, spec.attention[5].rope.inverse_frequencies
    assert (local[0], full[0]) == (1.0, 1 / 8)
    assert (local[4], full[4]) == pytest.approx((10000.0**-0.5, 1e6**-0.5 / 8))


@pytest.mark.parametrize(
    ("name", "pairs", "bases"),
    [("llama", 8, (1e4,)), ("glm4", 4, (1e4,)), ("phi3", 8, (1e4,)), ("gemma3", 16, (1e4, 1e6))],
)
def test_a_rope_that_is_not_stated_is_that_of_the_family(
    name: str, pairs: int, bases: tuple[float, ...], tmp_path: Path
) -> None:
    spec = described(tmp_path / "model", name, changed(name, ROPE, value=_ABSENT))
    ropes = dict.fromkeys(layer.rope for layer in spec.attention)
    assert [len(rope.inverse_frequencies) for rope in ropes] == [pairs] * len(bases)
    assert [rope.inverse_frequencies[-1] for rope in ropes] == pytest.approx([b ** (1 / pairs - 1) for b in bases])


def test_the_layers_of_qwen_slide_from_the_first_that_is_named(tmp_path: Path) -> None:
    config = changed("qwen2-window", "layer_types", value=_ABSENT)
    spec = described(tmp_path / "model", "qwen2-window", config | {"max_window_layers": 2})
    assert [layer.window for layer in spec.attention] == [None, None, 6]


def test_a_quantized_checkpoint_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    config = CASES["llama"] | {"num_hidden_layers": 4}
    with pytest.raises(UnsupportedModel, match="Get the whole checkpoint"):
        described(tmp_path / "model", "llama", config)
    with pytest.raises(UnsupportedModel, match="use the checkpoint that it was made from"):
        described(tmp_path / "model", "llama", config | {"quantization_config": {"quant_method": "awq"}})


_numbers = st.integers() | st.floats() | st.sampled_from([10**40, -(10**40), 2**31, 2**63, 5e-324, 1e308])
_scalars = (
    st.none() | st.booleans() | _numbers | st.text(max_size=4) | st.sampled_from(["linear", "llama3", "explicit"])
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(CASES)), data=st.data())
def test_no_value_of_any_field_escapes_the_checks(name: str, data: st.DataObject, tmp_path: Path) -> None:
    config = CASES[name]
    fields = [(key,) for key in config if key != "model_type"] + [(ROPE, key) for key in config[ROPE]]
    extra = ["rope_scaling", "partial_rotary_factor", "hidden_act", "mlp_bias", "layer_types", "sliding_window"]
    path = data.draw(st.sampled_from([*fields, *((key,) for key in extra)]))
    try:
        spec = described(tmp_path / name, name, changed(name, *path, value=data.draw(_values)))
    except EdgeAutoGLMError:
        return
    assert all(math.isfinite(f) for layer in spec.attention for f in layer.rope.inverse_frequencies)
    assert spec.layers == config["num_hidden_layers"]
