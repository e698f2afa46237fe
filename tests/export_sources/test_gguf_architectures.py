"""Each architecture reads as the Hugging Face checkpoint that it was converted from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from tests.export_sources.tiny_families import FAMILIES, TinyFamily
from tests.export_sources.tiny_gguf import write_gguf

each_family = pytest.mark.parametrize("name", FAMILIES)

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "use_sliding_window": False,
        "tie_word_embeddings": False,
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_act": "silu",
        "attention_bias": False,
        "use_sliding_window": False,
        "tie_word_embeddings": True,
    },
    "gemma3": {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 16,
        "sliding_window": 32,
        "sliding_window_pattern": 6,
        "layer_types": ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"],
        "rope_local_base_freq": 10000.0,
        "final_logit_softcapping": None,
        "tie_word_embeddings": True,
    },
    "phi3": {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "hidden_act": "silu",
        "sliding_window": 2047,
        "tie_word_embeddings": False,
    },
}
COMMON = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "rope_scaling": None,
    "max_position_embeddings": 4096,
    "vocab_size": 320,
}


@each_family
def test_every_tensor_has_its_name_and_values(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    checkpoint, original = open_checkpoint(str(family.write(tmp_path / "tiny.gguf"))), family.tensors()
    assert set(checkpoint.names()) == set(original)
    for tensor, values in original.items():
        assert checkpoint.shape(tensor) == values.shape
        # Gemma's norms are stored with 1 added, which rounds.
        tolerance = 3e-7 if name == "gemma3" else 0
        np.testing.assert_allclose(checkpoint.read(tensor), values, rtol=0, atol=tolerance, err_msg=tensor)


@each_family
def test_the_config_is_that_of_the_hugging_face_model(name: str, tmp_path: Path) -> None:
    config = open_checkpoint(str(FAMILIES[name].write(tmp_path / "tiny.gguf"))).config
    expected = COMMON | CONFIGS[name]
    assert {key: config[key] for key in expected} == expected


@each_family
def test_the_exporter_knows_the_family_and_finds_all_its_tensors(name: str, tmp_path: Path) -> None:
    spec = describe(open_checkpoint(str(FAMILIES[name].write(tmp_path / "tiny.gguf"))))
    assert spec.family == name


def changed(name: str, **metadata: Any) -> TinyFamily:
    family = FAMILIES[name]
    fields = {key.replace("__", "."): value for key, value in metadata.items()}
    merged = {key: value for key, value in (family.metadata | fields).items() if value is not None}
    return TinyFamily(family.name, family.modules, family.biased, family.tied, merged)


def config_of(family: TinyFamily, folder: Path) -> dict[str, Any]:
    return open_checkpoint(str(family.write(folder / "tiny.gguf"))).config


def test_linear_scaling_of_gemma_leaves_its_local_base_alone(tmp_path: Path) -> None:
    config = config_of(changed("gemma3", rope__scaling__type="linear", rope__scaling__factor=8.0), tmp_path)
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 8.0}
    assert config["rope_local_base_freq"] == 10000.0


def test_gemma_without_a_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"'gemma3\.attention\.sliding_window' is missing"):
        config_of(changed("gemma3", attention__sliding_window=None), tmp_path)


def test_the_soft_cap_of_gemma_is_passed_on(tmp_path: Path) -> None:
    assert config_of(changed("gemma3", final_logit_softcapping=30.0), tmp_path)["final_logit_softcapping"] == 30.0


@pytest.mark.parametrize("window", [0, 4096, 262144])
def test_a_window_of_phi_that_hides_nothing_is_none(window: int, tmp_path: Path) -> None:
    assert config_of(changed("phi3", attention__sliding_window=window), tmp_path)["sliding_window"] is None


def test_phi_may_rotate_a_part_of_a_head_and_qwen_may_not(tmp_path: Path) -> None:
    assert config_of(changed("phi3", rope__dimension_count=12), tmp_path)["partial_rotary_factor"] == 0.75
    with pytest.raises(UnsupportedModel, match=r"qwen2\.rope\.dimension_count is 12, but a head has 16"):
        config_of(changed("qwen2", rope__dimension_count=12), tmp_path)


def test_yarn_is_passed_on_with_its_original_context(tmp_path: Path) -> None:
    yarn = {"type": "yarn", "factor": 4.0, "original_context_length": 1024}
    config = config_of(changed("qwen2", **{f"rope__scaling__{key}": value for key, value in yarn.items()}), tmp_path)
    assert config["rope_scaling"] == {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}


@pytest.mark.parametrize("part", ["long", "short"])
def test_long_rope_is_refused(part: str, tmp_path: Path) -> None:
    factors = {f"rope_factors_{part}.weight": np.ones(8, dtype=np.float32)}
    with pytest.raises(UnsupportedModel, match=rf"rope_factors_{part}\.weight.*short context"):
        open_checkpoint(str(write_gguf(tmp_path / "phi.gguf", {}, factors, architecture="phi3")))


@pytest.mark.oracle
@each_family
def test_transformers_reads_the_same_weights_and_config(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    path = FAMILIES[name].write(tmp_path / "tiny.gguf")
    checkpoint = open_checkpoint(str(path))
    # What the transformers reader of GGUF leaves at its default: qwen3's head, gemma3's scale, phi3's window.
    unread = {"gemma3": {"query_pre_attn_scalar"}, "phi3": {"sliding_window"}}.get(name, set())
    stated = {"head_dim": 16} if name == "qwen3" else {}
    oracle = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32, **stated
    )
    state = {key: value.numpy() for key, value in oracle.state_dict().items()}
    for tensor in checkpoint.names():
        np.testing.assert_allclose(checkpoint.read(tensor), state[tensor], rtol=0, atol=3e-7, err_msg=tensor)
    from_ours = type(oracle.config)(**checkpoint.config)
    theirs = oracle.config.to_dict()
    for key in (checkpoint.config.keys() & theirs.keys() - {"architectures"} - unread) | {"rope_parameters"}:
        expected = pytest.approx(theirs[key]) if isinstance(theirs[key], float) else theirs[key]
        assert from_ours.to_dict()[key] == expected, key
