import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.checkpoints import QWEN2_1_5B, Stored, as_bfloat16, random_tensors, write_folder
from benchmarks.export_cost import Limit
from edge_autoglm import export_model
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB_SIZE + 32,
    "max_position_embeddings": 512,
}
CONFIG = {**QWEN2_1_5B, **SHAPE}
TEXTS = TokenizerFiles(tiny_tokenizer_json(), None, None, "<|im_end|>", (2,), False)


def write(folder: Path, seed: int = 0, shard_bytes: int = 60_000) -> Path:
    write_folder(folder, CONFIG, TEXTS, random_tensors(CONFIG, seed), shard_bytes)
    return folder


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-2.5, 0xC020),
        (1 + 2**-8, 0x3F80),  # halfway: to the even neighbour below
        (1 + 3 * 2**-8, 0x3F82),  # halfway: to the even neighbour above
        (1 + 2**-8 + 2**-20, 0x3F81),
        (2 - 2**-20, 0x4000),  # the carry reaches the exponent
    ],
)
def test_bfloat16_rounds_to_nearest_even(value: float, bits: int) -> None:
    assert as_bfloat16(np.array([value], dtype=np.float32)).tolist() == [bits]


def test_random_checkpoint_is_sharded_seeded_and_exports(tmp_path: Path) -> None:
    first, again, other = write(tmp_path / "a"), write(tmp_path / "b"), write(tmp_path / "c", seed=1)
    shards = sorted(path.name for path in first.glob("*.safetensors"))
    assert len(shards) > 2
    assert all((first / shard).read_bytes() == (again / shard).read_bytes() for shard in shards)
    assert any((first / shard).read_bytes() != (other / shard).read_bytes() for shard in shards)
    bundle = export_model(first, tmp_path / "bundle", "int8", proof=False)
    assert bundle.manifest.model.family == "qwen2"
    assert bundle.manifest.model.vocab_size == SHAPE["vocab_size"]


def test_the_published_shape_has_the_published_number_of_parameters() -> None:
    # 1.54 B, of which 1.31 B are not the embedding (model card of Qwen2.5-1.5B).
    tensors = {tensor.name: tensor.nbytes // 2 for tensor in random_tensors(QWEN2_1_5B, 0)}
    assert sum(tensors.values()) == 1_543_714_304
    assert sum(tensors.values()) - tensors["model.embed_tokens.weight"] == 1_310_340_608


def test_values_survive_in_pieces(tmp_path: Path) -> None:
    values = np.arange(-60, 60, dtype=np.float32)
    tensors = [*random_tensors(CONFIG, 0), Stored("extra", (2, 60), lambda: iter([values[:7], values[7:]]))]
    write_folder(tmp_path / "x", CONFIG, TEXTS, tensors, 10**9)
    assert np.array_equal(open_checkpoint(str(tmp_path / "x")).read("extra"), values.reshape(2, 60))


def test_limit_counts_the_largest_tensor_three_times(tmp_path: Path) -> None:
    limit = Limit.of(write(tmp_path / "a"), output=1000)
    embedding = SHAPE["vocab_size"] * SHAPE["hidden_size"]
    assert limit.largest == embedding
    assert (limit.stored, limit.float32) == (400_001_000 + 6 * embedding, 400_001_000 + 12 * embedding)


def test_config_is_what_transformers_reads(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", shard_bytes=10**9)
    config = json.loads((folder / "config.json").read_text())
    assert (config["torch_dtype"], config["eos_token_id"]) == ("bfloat16", 2)
