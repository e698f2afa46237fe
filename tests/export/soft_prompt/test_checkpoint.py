"""What is read of a PEFT folder, and what is refused, with file, cause and cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import EdgeAutoGLMError, NotAModel, SourceNotFound, TruncatedSource, UnsupportedModel
from edge_autoglm.export.soft_prompt.checkpoint import read_soft_prompt
from tests.checkpoints import write_safetensors
from tests.soft_prompts import write_peft

HIDDEN = 8
ROWS = np.arange(3 * HIDDEN, dtype=np.float32).reshape(3, HIDDEN)
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_the_embeddings_are_read_in_any_type(dtype: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_soft_prompt(write_peft(tmp_path / "peft", ROWS, dtype), HIDDEN), ROWS)


@pytest.mark.parametrize(
    ("field", "value", "said", "cure"),
    [
        ("peft_type", "LORA", "peft_type is 'LORA'", "edge-autoglm export SOURCE OUT --adapter DIR"),
        ("peft_type", "PREFIX_TUNING", "peft_type is 'PREFIX_TUNING'", "Train with prompt tuning"),
        ("peft_type", "P_TUNING", "peft_type is 'P_TUNING'", "Train with prompt tuning"),
        ("peft_type", "IA3", "peft_type is 'IA3'", "merge an adapter with PEFT"),
        ("peft_type", None, "peft_type is 'None'", "Give a folder of prompt tuning"),
        ("task_type", "SEQ_2_SEQ_LM", "task_type is 'SEQ_2_SEQ_LM'", "CAUSAL_LM"),
        ("num_transformer_submodules", 2, "no decoder's", "CAUSAL_LM"),
        ("token_dim", 16, "token_dim is 16, the bundle's model has a hidden size of 8", "a bundle of the model"),
        ("num_virtual_tokens", "3", "num_virtual_tokens is '3'", "Save it again"),
        ("num_virtual_tokens", 0, "num_virtual_tokens is '0'", "Save it again"),
        ("num_virtual_tokens", 4, "has the shape (3, 8), adapter_config.json says (4, 8)", "the configuration"),
    ],
)
def test_another_kind_or_size_is_refused(field: str, value: object, said: str, cure: str, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "peft", ROWS, **{field: value})
    with pytest.raises((UnsupportedModel, NotAModel)) as raised:
        read_soft_prompt(folder, HIDDEN)
    assert str(folder) in raised.value.cause
    assert said in raised.value.cause
    assert cure in raised.value.cure


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def other_tensor(folder: Path) -> None:
    write_safetensors(folder / WEIGHTS, {"base_model.model.x.lora_A.weight": ROWS})


def one_more_tensor(folder: Path) -> None:
    write_safetensors(folder / WEIGHTS, {"prompt_embeddings": ROWS, "head": ROWS})


def not_a_number(folder: Path) -> None:
    write_safetensors(folder / WEIGHTS, {"prompt_embeddings": ROWS * np.float32("nan")})


def cut(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-8])


def flipped(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(b"\xff" * 16 + path.read_bytes()[16:])


@pytest.mark.parametrize(
    ("damage", "kind", "said"),
    [
        (lambda folder: (folder / CONFIG).unlink(), SourceNotFound, "no adapter_config.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), SourceNotFound, "adapter_model.safetensors are missing"),
        (lambda folder: (folder / CONFIG).write_text("{"), NotAModel, CONFIG),
        (lambda folder: (folder / CONFIG).write_bytes(b"\xff\xfe"), NotAModel, CONFIG),
        (lambda folder: (folder / CONFIG).write_text(json.dumps([1])), NotAModel, CONFIG),
        (pickled, NotAModel, "pickles are never loaded"),
        (other_tensor, NotAModel, "found: 'base_model.model.x.lora_A.weight'"),
        (one_more_tensor, NotAModel, "found: 'head', 'prompt_embeddings'"),
        (not_a_number, NotAModel, "NaN or infinite"),
        (cut, TruncatedSource, WEIGHTS),
        (flipped, NotAModel, WEIGHTS),
    ],
)
def test_a_damaged_folder_is_refused(
    damage: Callable[[Path], object], kind: type[EdgeAutoGLMError], said: str, tmp_path: Path
) -> None:
    folder = write_peft(tmp_path / "peft", ROWS)
    damage(folder)
    with pytest.raises(kind) as raised:
        read_soft_prompt(folder, HIDDEN)
    assert str(folder) in raised.value.cause
    assert said in raised.value.cause
    assert raised.value.cure
