"""Whatever is wrong with a checkpoint, the export refuses it by name, says the cure and leaves the disk as it was."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import gguf.quants
import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm import export_model
from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_safetensors, write_tiny_llama
from tests.export_sources.tiny_gguf import llama_cpp_tensors, tiny_metadata, write_gguf

Tensors = dict[str, npt.NDArray[np.float32]]
QUERY, DOWN = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"
LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


@dataclass(frozen=True)
class Input:
    """What is given to the export."""

    source: Path
    options: dict[str, Any] = field(default_factory=dict)


def single(folder: Path) -> Path:
    return write_tiny_llama(folder / "model", tied=False)


def sharded(folder: Path) -> Path:
    return write_tiny_llama(folder / "model", tied=False, shards=2)


def with_json(folder: Path, file: str, **changes: Any) -> Input:
    """One JSON file of the checkpoint changed; ``None`` removes a key."""
    path = single(folder) / file
    content = (json.loads(path.read_text()) if path.is_file() else {}) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return Input(path.parent)


def config(**changes: Any) -> Callable[[Path], Input]:
    return lambda folder: with_json(folder, "config.json", **changes)


def with_file(file: str, content: bytes | None) -> Callable[[Path], Input]:
    """One file of the checkpoint replaced, or removed."""

    def make(folder: Path) -> Input:
        path = single(folder) / file
        path.unlink() if content is None else path.write_bytes(content)
        return Input(path.parent)

    return make


def with_tensors(change: Callable[[Tensors], object], dtype: str = "F32") -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        source = single(folder)
        checkpoint = open_checkpoint(str(source))
        tensors = {name: checkpoint.read(name) for name in checkpoint.names()}
        change(tensors)
        write_safetensors(source / "model.safetensors", tensors, dtype)
        return Input(source)

    return make


def with_header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Input]:
    """The header of the safetensors file rewritten over the same data."""

    def make(folder: Path) -> Input:
        path = single(folder) / "model.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        rows = json.loads(content[8 : 8 + length])
        change(rows)
        header = json.dumps(rows).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
        return Input(path.parent)

    return make


def with_shards(change: Callable[[Path], object]) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        source = sharded(folder)
        change(source)
        return Input(source)

    return make


def larger_vocabulary(folder: Path) -> Input:
    model = json.loads((single(folder) / "tokenizer.json").read_text())["model"]
    model["vocab"] |= {f"word{i}": 320 + i for i in range(8)}
    return with_json(folder, "tokenizer.json", model=model)


def only_pickled(folder: Path) -> Input:
    source = single(folder)
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    return Input(source)


def cut(path: Path, nbytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-nbytes])


def index(**weight_map: str) -> Callable[[Path], Input]:
    def change(source: Path) -> None:
        path = source / "model.safetensors.index.json"
        content = json.loads(path.read_text())
        content["weight_map"] |= weight_map
        path.write_text(json.dumps(content))

    return with_shards(change)


def gguf_file(
    change: Callable[[dict[str, Any], dict[str, Any]], object] = lambda metadata, tensors: None,
    damage: Callable[[bytes], bytes] = lambda content: content,
) -> Callable[[Path], Input]:
    """The same model as a GGUF file, its metadata and tensors changed before, its bytes after it is written."""

    def make(folder: Path) -> Input:
        metadata, tensors = tiny_metadata(), llama_cpp_tensors(open_checkpoint(str(single(folder))))
        change(metadata, tensors)
        path = write_gguf(folder / "model.gguf", metadata, tensors, "Q8_0")
        path.write_bytes(damage(path.read_bytes()))
        return Input(path)

    return make


def wrong_type(content: bytes) -> bytes:
    """Another data type for the embedding: the number behind its name, two dimensions and a count."""
    place = content.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    return content[:place] + struct.pack("<I", gguf.GGMLQuantizationType.I32) + content[place + 4 :]


def poisoned_block(_: dict[str, Any], tensors: dict[str, Any]) -> None:
    """The scale of the first block, a half, becomes NaN."""
    blocks = gguf.quants.quantize(tensors["blk.0.ffn_up.weight"], gguf.GGMLQuantizationType.Q8_0)
    blocks[0, :2] = 0x00, 0x7E
    tensors["blk.0.ffn_up.weight"] = blocks


def lora(change: Callable[[dict[str, Any], Tensors], object]) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        settings: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"}
        tensors = {f"{LORA}A.weight": np.ones((4, 64), np.float32), f"{LORA}B.weight": np.ones((64, 4), np.float32)}
        change(settings, tensors)
        adapter = folder / "adapter"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text(json.dumps(settings))
        write_safetensors(adapter / "adapter_model.safetensors", tensors)
        return Input(single(folder), {"adapter": adapter})

    return make


def poison(tensors: Tensors, name: str, value: float) -> None:
    tensors[name][3, 5] = value


BAD: dict[str, tuple[Callable[[Path], Input], str]] = {
    # The tokenizer.
    "no tokenizer": (with_file("tokenizer.json", None), r"no tokenizer\.json"),
    "tokenizer is no JSON": (with_file("tokenizer.json", b"<html>"), r"tokenizer\.json is not JSON"),
    "tokenizer of another model": (larger_vocabulary, r"tokenizer\.json: the token 'word7' has the id 327"),
    "tokenizer of an unknown kind": (with_file("tokenizer.json", b'{"model": {"type": "Morse"}}'), r"tokenizer\.json"),
    "ending outside the vocabulary": (config(eos_token_id=50256), r"config\.json: eos_token_id is '50256'"),
    "ending that is text": (
        lambda folder: with_json(folder, "generation_config.json", eos_token_id="</s>"),
        r"generation_config\.json: eos_token_id",
    ),
    "chat template that does not end": (
        lambda folder: with_json(folder, "tokenizer_config.json", chat_template="{% for message in messages %}"),
        "chat template of .*model",
    ),
    # The weights.
    "missing tensor": (with_tensors(lambda tensors: tensors.pop(DOWN)), DOWN),
    "transposed tensor": (with_tensors(lambda tensors: tensors.update({DOWN: tensors[DOWN].T.copy()})), DOWN),
    "NaN": (with_tensors(lambda tensors: poison(tensors, QUERY, np.nan)), f"{QUERY} holds NaN"),
    "infinity": (with_tensors(lambda tensors: poison(tensors, DOWN, -np.inf)), f"{DOWN} holds NaN or infinite"),
    "infinity in half precision": (
        with_tensors(lambda tensors: poison(tensors, "lm_head.weight", np.inf), "F16"),
        r"lm_head\.weight holds NaN or infinite",
    ),
    "integers for weights": (with_header(lambda rows: rows[QUERY].update(dtype="I32")), rf"{QUERY}.* I32"),
    "only a pickle": (only_pickled, "Pickled weights are never loaded; convert them to safetensors"),
    # The headers.
    "header lies about a type": (with_header(lambda rows: rows[QUERY].update(dtype="F16")), QUERY),
    "header lies about a shape": (with_header(lambda rows: rows[QUERY].update(shape=[64, 1 << 40])), QUERY),
    "tensors overlap": (
        with_header(lambda rows: rows[QUERY].update(data_offsets=rows[DOWN]["data_offsets"][:1] * 2, shape=[0])),
        r"model\.safetensors: tensor",
    ),
    "tensor beyond the file": (
        with_header(
            lambda rows: rows["lm_head.weight"].update(
                shape=[640, 64],
                data_offsets=[(begin := rows["lm_head.weight"]["data_offsets"][0]), begin + 4 * 640 * 64],
            )
        ),
        r"'lm_head\.weight' needs \d+ bytes",
    ),
    "file is cut": (
        with_shards(lambda source: cut(source / "model-00002-of-00002.safetensors", 9)),
        "00002.* truncated",
    ),
    # The shards.
    "missing shard": (
        with_shards(lambda source: (source / "model-00001-of-00002.safetensors").unlink()),
        "00001-of-00002",
    ),
    "missing index": (
        with_shards(lambda source: (source / "model.safetensors.index.json").unlink()),
        r"model\.safetensors\.index\.json",
    ),
    "index is cut": (
        with_shards(lambda source: cut(source / "model.safetensors.index.json", 30)),
        r"index\.json is not JSON",
    ),
    "index names a ghost": (index(ghost="model-00001-of-00002.safetensors"), "'ghost'"),
    "index leaves the folder": (index(**{QUERY: "../model.safetensors"}), "not a file name"),
    # The configuration.
    "config is no JSON": (with_file("config.json", b'{"hidden_size": 64'), r"config\.json is not JSON"),
    "unknown architecture": (config(architectures=["NoSuchForCausalLM"], model_type="nosuch"), "NoSuchForCausalLM"),
    "wrong number of heads": (config(num_attention_heads=8), r"q_proj\.weight has shape"),
    "key heads that share unevenly": (config(num_key_value_heads=3), "num_key_value_heads"),
    "unknown rope": (config(rope_scaling={"rope_type": "warp", "factor": 2.0}), "rope_type"),
    "unknown activation": (config(hidden_act="sine"), "hidden_act"),
    "wrong vocabulary": (config(vocab_size=321), r"model\.embed_tokens\.weight has shape"),
    "too many layers": (config(num_hidden_layers=3), r"model\.layers\.2\..*\.weight is missing"),
    "width as text": (config(hidden_size="64"), "hidden_size"),
    "no epsilon": (config(rms_norm_eps=0), "rms_norm_eps"),
    "biases": (config(attention_bias=True), "attention_bias"),
    "more layers than a memory holds": (config(num_hidden_layers=10**12), "num_hidden_layers"),
    "a context without end": (config(max_position_embeddings=10**12), "max_position_embeddings"),
    "architectures that are none": (config(architectures=7), "architectures"),
    "more rotated than there is": (config(partial_rotary_factor=9.0), "partial_rotary_factor"),
    # GGUF.
    "GGUF is cut": (gguf_file(damage=lambda content: content[:-500]), r"model\.gguf is truncated: tensor"),
    "GGUF with a wrong type": (gguf_file(damage=wrong_type), r"'token_embd\.weight' is of ggml type I32"),
    "GGUF with NaN": (gguf_file(poisoned_block), r"model\.layers\.0\.mlp\.up_proj\.weight holds NaN"),
    "GGUF lacks a tensor": (
        gguf_file(lambda _, tensors: tensors.pop("blk.1.attn_v.weight")),
        r"model\.layers\.1\.self_attn\.v_proj\.weight is missing",
    ),
    "GGUF with a larger vocabulary": (
        gguf_file(lambda _, tensors: tensors.update({"token_embd.weight": tensors["token_embd.weight"][:256]})),
        r"tokenizer\.ggml\.tokens has 320 tokens, but the embedding",
    ),
    "GGUF of an unknown pre-tokenizer": (
        gguf_file(lambda metadata, _: metadata.update({"tokenizer.ggml.pre": "klingon"})),
        "pre-tokenizer 'klingon'",
    ),
    "GGUF of another architecture": (gguf_file(damage=lambda content: content.replace(b"llama", b"mamba")), "'mamba'"),
    # Adapters.
    "adapter of another model": (
        lora(lambda _, tensors: tensors.update({f"{LORA}A.weight": np.ones((4, 128), np.float32)})),
        r"q_proj\.lora_A\.weight' is for a weight of the shape \(64, 128\)",
    ),
    "adapter with NaN": (
        lora(lambda _, tensors: poison(tensors, f"{LORA}A.weight", np.nan)),
        r"lora_A\.weight' holds NaN",
    ),
    "adapter of another kind": (lora(lambda settings, _: settings.update(use_dora=True)), "use_dora"),
    "half an adapter": (lora(lambda _, tensors: tensors.pop(f"{LORA}B.weight")), r"only '.*lora_A\.weight'"),
}


@pytest.fixture(scope="module")
def good_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    export_model(single(folder), folder / "bundle", proof=False)
    return folder / "bundle"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_by_name_with_a_cure_and_nothing_is_left(name: str, good_bundle: Path, tmp_path: Path) -> None:
    make, named = BAD[name]
    given, place = make(tmp_path), tmp_path / "place"
    place.mkdir()
    with pytest.raises(EdgeAutoGLMError, match=named) as refusal:
        export_model(given.source, place / "out", proof=False, **given.options)
    assert refusal.value.cure[0].isupper()
    assert refusal.value.cure.endswith(".")
    assert list(place.iterdir()) == []
    shutil.copytree(good_bundle, place / "out")
    with pytest.raises(EdgeAutoGLMError, match=named):
        export_model(given.source, place / "out", proof=False, force=True, **given.options)
    assert [entry.name for entry in place.iterdir()] == ["out"]
    assert contents(place / "out") == contents(good_bundle)


def test_the_undamaged_inputs_are_accepted(tmp_path: Path) -> None:
    for number, make in enumerate((with_shards(lambda _: None), gguf_file(), lora(lambda *_: None))):
        (folder := tmp_path / str(number)).mkdir()
        given = make(folder)
        assert export_model(given.source, folder / "out", proof=False, **given.options).manifest.model.layers == 2
