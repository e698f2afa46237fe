"""Logits behind an imported soft prompt against PEFT's own, on random models of every kind of family."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm import Bundle
from edge_autoglm.export.soft_prompt.checkpoint import read_soft_prompt
from edge_autoglm.export.soft_prompt.graph import embedded_kv
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from tests.export.test_family_parity import randomize
from tests.oracles.family_cases import CASES, token_ids
from tests.oracles.family_engine import load_engine

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-3
VIRTUAL = 7

Logits = npt.NDArray[np.float32]


def tuned(model: Any, folder: Path, count: int) -> Any:
    """The model behind random trained embeddings of the size of its own, saved as PEFT does."""
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    peft = pytest.importorskip("peft", reason="the oracle peft is not installed")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=count)
    wrapped = peft.get_peft_model(model, config).eval()
    size = float(model.get_input_embeddings().weight.std())
    torch.nn.init.normal_(wrapped.prompt_encoder["default"].embedding.weight, std=size)
    wrapped.save_pretrained(folder)
    return wrapped


def behind_prompt(wrapped: Any, ids: list[int]) -> Logits:
    """PEFT's logits ``[len(ids), vocab]``, without those of the virtual tokens."""
    import torch

    with torch.no_grad():
        tokens = torch.tensor([ids])
        logits: Logits = wrapped(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].numpy()
    return logits[-len(ids) :]


def ours(engine: OrtEngine, graph: Path, folder: Path, hidden: int, ids: list[int]) -> Logits:
    segment = embedded_kv(graph, engine.facts.fingerprint, read_soft_prompt(folder, hidden), 1)
    engine.copy_in(0, [segment])
    [logits] = engine.forward([Chunk(0, ids, range(len(ids)))])
    return logits


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_peft(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**CASES[name])
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomize(model)
    model.save_pretrained(tmp_path / "checkpoint")
    engine = load_engine(tmp_path / "checkpoint", tmp_path / "model.onnx")
    ids = token_ids()[0][:20]
    wrapped = tuned(model, tmp_path / "peft", VIRTUAL)
    expected = behind_prompt(wrapped, ids)
    found = ours(engine, tmp_path / "model.onnx", tmp_path / "peft", config.hidden_size, ids)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    [alone] = (engine.truncate(0, 0), engine.forward([Chunk(0, ids, range(len(ids)))]))[1]
    assert np.abs(alone - expected).max() > 10 * TOLERANCE  # the soft prompt matters


@pytest.mark.heavy
def test_logits_are_those_of_peft_on_smollm2(smollm2_fp32: Bundle, smollm2_gguf: Path, tmp_path: Path) -> None:
    """The real model, in float32 on both sides, behind 20 virtual tokens."""
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    os.environ["HF_HUB_OFFLINE"] = "1"
    model = transformers.AutoModelForCausalLM.from_pretrained(
        smollm2_gguf.parent, gguf_file=smollm2_gguf.name, dtype=torch.float32
    ).eval()
    torch.manual_seed(0)
    wrapped = tuned(model, tmp_path / "peft", 20)
    graph = smollm2_fp32.path(smollm2_fp32.engine("ort").graph)
    engine = OrtEngine.load(graph, fingerprint="test", context_length=2048, slots=1, capacity=128, threads=2)
    ids = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2]
    expected = behind_prompt(wrapped, ids)
    found = ours(engine, graph, tmp_path / "peft", model.config.hidden_size, ids)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
