"""A LoRA adapter is merged as PEFT merges it, and what cannot be merged is refused by its name."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import EdgeAutoGLMError, NotAModel, SourceError, SourceNotFound, UnsupportedModel
from edge_autoglm.export.adapters import AdaptedCheckpoint, open_adapter
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_safetensors, write_tiny_llama
from tests.export_sources.mutations import mutate_json, mutate_safetensors
from tests.export_sources.tiny_gguf import llama_cpp_tensors, tiny_metadata, write_gguf

Tensors = dict[str, npt.NDArray[np.float32]]
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 12,
    "bias": "none",
    "target_modules": ["q_proj", "down_proj"],
    "lora_dropout": 0.05,
    "use_dora": False,
    "init_lora_weights": True,
    "inference_mode": True,
    "loftq_config": {},
}
QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
PREFIX = "base_model.model."
SIZES = {QUERY: (64, 64), DOWN: (64, 96), "lm_head": (320, 64)}


def normal(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def factors(module: str, rank: int = 4) -> Tensors:
    out, into = SIZES[module]
    return {
        f"{PREFIX}{module}.lora_A.weight": normal(rank, into),
        f"{PREFIX}{module}.lora_B.weight": normal(out, rank),
    }


def write(folder: Path, tensors: Tensors, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "base", tied=False)


def merged(base: Path, adapter: Path) -> AdaptedCheckpoint:
    return AdaptedCheckpoint(open_checkpoint(str(base)), open_adapter(adapter))


def difference(base: Path, checkpoint: AdaptedCheckpoint, name: str) -> npt.NDArray[np.float64]:
    return checkpoint.read(name).astype(np.float64) - open_checkpoint(str(base)).read(name)


def product(tensors: Tensors, module: str, scale: float) -> npt.NDArray[np.float64]:
    a, b = (tensors[f"{PREFIX}{module}.lora_{factor}.weight"].astype(np.float64) for factor in "AB")
    return scale * (b @ a)


def close(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


def test_alpha_over_rank_times_b_a_is_added_and_the_rest_is_left_alone(base: Path, tmp_path: Path) -> None:
    tensors = factors(QUERY) | factors(DOWN)
    checkpoint = merged(base, write(tmp_path / "lora", tensors))
    plain = open_checkpoint(str(base))
    for name in plain.names():
        expected = plain.read(name).astype(np.float64)
        module = name.removesuffix(".weight")
        if module in (QUERY, DOWN):
            expected += product(tensors, module, 12 / 4)
        close(checkpoint.read(name), expected)
    assert set(checkpoint.names()) == set(plain.names())
    assert checkpoint.config == plain.config
    assert checkpoint.tokenizer() == plain.tokenizer()


def test_the_name_of_the_adapter_may_be_in_the_names_of_its_tensors(base: Path, tmp_path: Path) -> None:
    tensors = factors(QUERY)
    named = {name.replace(".weight", ".default.weight"): values for name, values in tensors.items()}
    checkpoint = merged(base, write(tmp_path / "lora", named))
    close(difference(base, checkpoint, f"{QUERY}.weight"), product(tensors, QUERY, 3))


def test_a_rank_stabilised_adapter_divides_by_the_root_of_the_rank(base: Path, tmp_path: Path) -> None:
    tensors = factors(QUERY)
    checkpoint = merged(base, write(tmp_path / "lora", tensors, use_rslora=True))
    close(difference(base, checkpoint, f"{QUERY}.weight"), product(tensors, QUERY, 12 / 2))


def test_patterns_give_modules_their_own_rank_and_alpha(base: Path, tmp_path: Path) -> None:
    tensors = factors(QUERY, rank=2) | factors(DOWN)
    patterns = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {r"layers\.\d.mlp.down_proj": 20, "own_proj": 1}}
    checkpoint = merged(base, write(tmp_path / "lora", tensors, **patterns))
    close(difference(base, checkpoint, f"{QUERY}.weight"), product(tensors, QUERY, 12 / 2))
    close(difference(base, checkpoint, f"{DOWN}.weight"), product(tensors, DOWN, 20 / 4))


def test_fan_in_fan_out_is_for_weights_that_are_stored_in_by_out(base: Path, tmp_path: Path) -> None:
    # A weight [64, 96] that is [in, out]: A is [rank, 64], B is [96, rank].
    a, b = normal(4, 64), normal(96, 4)
    tensors = {f"{PREFIX}{DOWN}.lora_A.weight": a, f"{PREFIX}{DOWN}.lora_B.weight": b}
    checkpoint = merged(base, write(tmp_path / "lora", tensors, fan_in_fan_out=True))
    close(difference(base, checkpoint, f"{DOWN}.weight"), 3.0 * (b.astype(np.float64) @ a).T)


@pytest.mark.parametrize("suffix", ["", ".default"])
def test_factors_of_an_embedding_have_the_vocabulary_inside(suffix: str, base: Path, tmp_path: Path) -> None:
    a, b = normal(4, 320), normal(64, 4)
    stem = f"{PREFIX}model.embed_tokens.lora_embedding_"
    checkpoint = merged(base, write(tmp_path / "lora", {f"{stem}A{suffix}": a, f"{stem}B{suffix}": b}))
    close(difference(base, checkpoint, EMBEDDING), 3.0 * (b.astype(np.float64) @ a).T)


@pytest.mark.parametrize("name", ["lm_head.weight", "lm_head.modules_to_save.weight", "lm_head.base_layer.weight"])
def test_a_saved_module_takes_the_place_of_the_models(name: str, base: Path, tmp_path: Path) -> None:
    head, low_rank = normal(320, 64), factors("lm_head") if "base_layer" in name else {}
    folder = write(tmp_path / "lora", {f"{PREFIX}{name}": head} | low_rank, modules_to_save=["lm_head"])
    expected = head + product(low_rank, "lm_head", 3) if low_rank else head
    close(merged(base, folder).read(HEAD), expected)


def test_a_tied_head_gets_weights_of_its_own_where_the_embedding_changes(tmp_path: Path) -> None:
    base = write_tiny_llama(tmp_path / "tied", tied=True)
    a, b = normal(4, 320), normal(64, 4)
    stem = f"{PREFIX}model.embed_tokens.lora_embedding_"
    checkpoint = merged(base, write(tmp_path / "lora", {f"{stem}A": a, f"{stem}B": b}))
    original = open_checkpoint(str(base)).read(EMBEDDING)
    assert checkpoint.config["tie_word_embeddings"] is False
    assert HEAD in checkpoint.names()
    assert checkpoint.shape(HEAD) == (320, 64)
    np.testing.assert_array_equal(checkpoint.read(HEAD), original)
    close(checkpoint.read(EMBEDDING), original + 3.0 * (b @ a).T)


def test_a_tied_head_with_factors_leaves_the_embedding_alone(tmp_path: Path) -> None:
    base = write_tiny_llama(tmp_path / "tied", tied=True)
    tensors = factors("lm_head")
    checkpoint = merged(base, write(tmp_path / "lora", tensors))
    original = open_checkpoint(str(base)).read(EMBEDDING)
    np.testing.assert_array_equal(checkpoint.read(EMBEDDING), original)
    close(checkpoint.read(HEAD), original + product(tensors, "lm_head", 3))


def test_a_tied_head_stays_tied_where_nothing_touches_it(tmp_path: Path) -> None:
    checkpoint = merged(write_tiny_llama(tmp_path / "tied"), write(tmp_path / "lora", factors(QUERY)))
    assert checkpoint.config["tie_word_embeddings"] is True
    assert HEAD not in checkpoint.names()


def test_a_gguf_source_is_adapted_under_the_same_names(base: Path, tmp_path: Path) -> None:
    tensors = llama_cpp_tensors(open_checkpoint(str(base)))
    converted = write_gguf(tmp_path / "base.gguf", tiny_metadata(), tensors)
    adapter = write(tmp_path / "lora", factors(QUERY) | factors(DOWN))
    expected = merged(base, adapter)
    for name in expected.names():
        np.testing.assert_array_equal(merged(converted, adapter).read(name), expected.read(name), err_msg=name)


def test_damaged_adapters_are_merged_or_refused(base: Path, tmp_path: Path) -> None:
    settings = {"rank_pattern": {"q_proj": 4}, "modules_to_save": ["lm_head"]}
    folder = write(tmp_path / "lora", factors(QUERY) | {f"{PREFIX}{HEAD}": normal(320, 64)}, **settings)
    files = {"adapter_config.json": mutate_json, "adapter_model.safetensors": mutate_safetensors}
    originals, rng = {name: (folder / name).read_bytes() for name in files}, random.Random(0)
    outcomes = Counter[bool]()
    for _ in range(300):
        name = rng.choice(list(files))
        (folder / name).write_bytes(files[name](originals[name], rng))
        outcomes[is_merged(base, folder)] += 1
        (folder / name).write_bytes(originals[name])
    assert min(outcomes[True], outcomes[False]) >= 30


def is_merged(base: Path, folder: Path) -> bool:
    try:
        checkpoint = merged(base, folder)
        values = {name: checkpoint.read(name) for name in (HEAD, f"{QUERY}.weight")}
    except EdgeAutoGLMError:
        return False
    assert all(array.shape == checkpoint.shape(name) for name, array in values.items())
    return True


def test_merging_takes_little_more_than_the_weight(tmp_path: Path) -> None:
    base = write_tiny_llama(tmp_path / "base")
    write_safetensors(base / "model.safetensors", {"model.big.weight": np.zeros((4096, 2048), dtype=np.float32)})
    stem = f"{PREFIX}model.big.lora_"
    checkpoint = merged(
        base, write(tmp_path / "lora", {f"{stem}A.weight": normal(4, 2048), f"{stem}B.weight": normal(4096, 4)})
    )
    tracemalloc.start()
    try:
        size, peak = checkpoint.read("model.big.weight").nbytes, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size + (12 << 20)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("peft_type", "IA3"),
        ("peft_type", None),
        ("bias", "lora_only"),
        ("lora_bias", True),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "olora"),
        ("trainable_token_indices", [1, 2]),
        ("target_parameters", ["mlp.experts"]),
        ("use_qalora", True),
        ("alora_invocation_tokens", [5]),
        ("a_variant_of_next_year", {"on": True}),
    ],
)
def test_a_variant_that_is_not_merged_is_named(field: str, value: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "lora", factors(QUERY), **{field: value})
    with pytest.raises(UnsupportedModel, match=rf"adapter_config\.json: {field} is .*Merge it with PEFT"):
        open_adapter(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("r", 0),
        ("r", "4"),
        ("lora_alpha", None),
        ("lora_alpha", float("nan")),
        ("lora_alpha", 1e300),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"q_proj": 0}),
        ("alpha_pattern", {"q_proj": "big"}),
        ("alpha_pattern", {"(": 1}),
        ("alpha_pattern", {"(a+)+b": 1}),
        ("alpha_pattern", {".*.*.*.*x": 1}),
        ("modules_to_save", "lm_head"),
    ],
)
def test_a_malformed_field_is_named(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=rf"adapter_config\.json: {field} is .*Fix adapter_config\.json"):
        open_adapter(write(tmp_path / "lora", factors(QUERY), **{field: value}))


def test_an_adapter_of_another_model_names_tensor_and_shapes(base: Path, tmp_path: Path) -> None:
    other = {f"{PREFIX}{QUERY}.lora_A.weight": normal(4, 128), f"{PREFIX}{QUERY}.lora_B.weight": normal(64, 4)}
    with pytest.raises(UnsupportedModel, match=rf"{QUERY}\.lora_A\.weight' is for a weight of the shape \(64, 128\)"):
        merged(base, write(tmp_path / "shape", other))
    deep = {name.replace("layers.0", "layers.9"): values for name, values in factors(QUERY).items()}
    with pytest.raises(UnsupportedModel, match=r"layers\.9\.self_attn\.q_proj\.weight, which .*base does not have"):
        merged(base, write(tmp_path / "module", deep))


@pytest.mark.parametrize("missing", ["A", "B"])
def test_half_of_a_pair_is_named(missing: str, tmp_path: Path) -> None:
    tensors = {name: values for name, values in factors(QUERY).items() if f"lora_{missing}" not in name}
    present = "B" if missing == "A" else "A"
    with pytest.raises(
        NotAModel, match=rf"of the factors A and B of {QUERY}, there is only '.*lora_{present}\.weight'"
    ):
        open_adapter(write(tmp_path / "lora", tensors))


def test_a_rank_that_is_not_the_configured_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"q_proj\.lora_A\.weight' has the shape \(8, 64\), but its rank is 4"):
        open_adapter(write(tmp_path / "lora", factors(QUERY, rank=8)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_factor_that_is_not_finite_is_named(bad: float, base: Path, tmp_path: Path) -> None:
    tensors = factors(QUERY)
    tensors[f"{PREFIX}{QUERY}.lora_B.weight"][3, 1] = bad
    checkpoint = merged(base, write(tmp_path / "lora", tensors))
    with pytest.raises(NotAModel, match=rf"{QUERY}\.lora_B\.weight' holds NaN or infinite values"):
        checkpoint.read(f"{QUERY}.weight")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (f"{PREFIX}{QUERY}.lora_magnitude_vector", UnsupportedModel),
        (f"{PREFIX}{QUERY}.weight", UnsupportedModel),
        (f"{QUERY}.lora_A.weight", NotAModel),
        (PREFIX + "x" * 400 + ".lora_A.weight", NotAModel),
    ],
)
def test_a_tensor_that_is_for_no_weight_is_named(name: str, error: type[SourceError], tmp_path: Path) -> None:
    with pytest.raises(error, match=name[:200]):
        open_adapter(write(tmp_path / "lora", {name: normal(4, 64)}))


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    twice = {f"{PREFIX}{QUERY}.lora_A.default.weight": normal(4, 64)}
    with pytest.raises(NotAModel, match="is there twice"):
        open_adapter(write(tmp_path / "lora", factors(QUERY) | twice))


def test_a_pickled_adapter_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "lora", factors(QUERY))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(NotAModel, match=r"adapter_model\.bin is pickled.*safe_serialization=True"):
        open_adapter(folder)


def test_a_folder_without_config_weights_or_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"no adapter_config\.json"):
        open_adapter(tmp_path)
    with pytest.raises(NotAModel, match="holds no tensors"):
        open_adapter(write(tmp_path / "lora", {}))
    (tmp_path / "lora" / "adapter_model.safetensors").unlink()
    with pytest.raises(SourceNotFound, match=r"adapter_model\.safetensors are missing"):
        open_adapter(tmp_path / "lora")


@pytest.mark.oracle
@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["q_proj", "v_proj", "down_proj"]},
        {"target_modules": "all-linear", "use_rslora": True},
        {
            "target_modules": ["q_proj", "k_proj", "up_proj"],
            "rank_pattern": {"k_proj": 2, r"layers\.1\.mlp.*": 3},
            "alpha_pattern": {"q_proj": 40, "layers.0.self_attn.k_proj": 5},
        },
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "mlp"]},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_peft_merges_to_the_same_weights(options: dict[str, Any], base: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    peft = pytest.importorskip("peft", reason="the oracle peft is not installed")
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    # Without this start, B is zero and there is nothing to merge.
    config = peft.LoraConfig(r=4, lora_alpha=12, init_lora_weights=False, task_type="CAUSAL_LM", **options)
    adapted = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(tmp_path / "lora")
    expected = {name: values.numpy() for name, values in adapted.merge_and_unload().state_dict().items()}
    checkpoint = merged(base, tmp_path / "lora")
    assert set(checkpoint.names()) == set(expected)
    for name in checkpoint.names():
        np.testing.assert_allclose(checkpoint.read(name), expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
