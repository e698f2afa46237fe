"""Every family against its original in transformers: random models, saved by it, exported by us."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.oracles.family_cases import CASES, old_spelling, token_ids
from tests.oracles.family_engine import decode_together, generate, in_chunks, load_engine

pytestmark = pytest.mark.oracle

_TOLERANCE = 1e-3
"""Of the largest logit; what the families are promised to."""
_LENGTHS = (32, 20, 11)
_STEPS = 8


@dataclass(frozen=True)
class Pair:
    """A model in transformers, and our engine over its export.

    Attributes:
        folder: The checkpoint.
        model: The original.
        engine: Of three slots.
        expected: The original's logits ``[3, 40, vocab]`` of `token_ids`.
    """

    folder: Path
    model: Any
    engine: OrtEngine
    expected: npt.NDArray[np.float32]

    def check(self, logits: npt.NDArray[np.float32], row: int, start: int = 0) -> None:
        tolerance = _TOLERANCE * np.abs(self.expected).max()
        expected = self.expected[row, start : start + len(logits)]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance)


def randomize(model: Any) -> None:
    """Weights that make every part of the model matter: transformers starts biases at 0 and norms at 1."""
    import torch

    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[1] ** 0.5)
        else:
            centred = "bias" in name or model.config.model_type == "gemma3_text"
            torch.nn.init.normal_(parameter, mean=0.0 if centred else 1.0, std=0.3)


def logits_of(model: Any, rows: list[list[int]]) -> npt.NDArray[np.float32]:
    import torch

    with torch.no_grad():
        logits: npt.NDArray[np.float32] = model(torch.tensor(rows)).logits.numpy()
    return logits


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    if int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("the oracle transformers is older than 5")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**CASES[request.param])
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomize(model)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder / "model")
    engine = load_engine(folder / "model", folder / "model.onnx")
    yield Pair(folder / "model", model, engine, logits_of(model, token_ids()))
    engine.close()


def test_a_whole_prompt(pair: Pair) -> None:
    for row, ids in enumerate(token_ids()):
        pair.check(in_chunks(pair.engine, row, ids, [40]), row)


def test_a_prompt_in_chunks(pair: Pair) -> None:
    for row, ids in enumerate(token_ids()):
        pair.check(in_chunks(pair.engine, row, ids, [11, 14, 32, 40]), row)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_different_length_decode_together(pair: Pair, rows: int) -> None:
    prompts = list(zip(token_ids(), _LENGTHS, strict=True))[:rows]
    for row, (ids, length) in enumerate(prompts):
        in_chunks(pair.engine, row, ids[:length], [length])
    decoded = decode_together(pair.engine, [ids[length : length + _STEPS] for ids, length in prompts])
    for row, logits in enumerate(decoded):
        pair.check(logits, row, _LENGTHS[row])


def test_sixteen_tokens_are_generated_alike(pair: Pair) -> None:
    ids = token_ids()[0][:8]
    for _ in range(16):
        ids = [*ids, int(logits_of(pair.model, [ids])[0, -1].argmax())]
    assert generate(pair.engine, ids[:8], 16) == ids[8:]


def test_the_older_spelling_means_the_same_to_both(pair: Pair, tmp_path: Path) -> None:
    import transformers

    old = tmp_path / "old"
    old.mkdir()
    os.link(pair.folder / "model.safetensors", old / "model.safetensors")
    config = old_spelling(json.loads((pair.folder / "config.json").read_text(encoding="utf-8")))
    (old / "config.json").write_text(json.dumps(config), encoding="utf-8")
    reread = transformers.AutoModelForCausalLM.from_pretrained(old, dtype="float32").eval()
    np.testing.assert_allclose(logits_of(reread, token_ids()), pair.expected, rtol=0, atol=1e-5)
    assert describe(open_checkpoint(str(old))) == describe(open_checkpoint(str(pair.folder)))
