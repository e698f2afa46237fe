"""The NumPy Llama, against which the graph builder is tested, agrees with transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_tiny_llama
from tests.oracles.llama_numpy import logits


@pytest.mark.oracle
@pytest.mark.parametrize("tied", [True, False])
def test_it_gives_the_logits_of_transformers(tied: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    folder = write_tiny_llama(tmp_path / "tiny", tied=tied)
    tokens = np.random.default_rng(1).integers(0, 320, 40).tolist()
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0].numpy()
    # transformers computes norms and rotations in float32 whatever the type of the weights.
    np.testing.assert_allclose(logits(open_checkpoint(str(folder)), tokens), expected, rtol=1e-5, atol=1e-5)


def test_a_later_token_does_not_change_an_earlier_answer(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(write_tiny_llama(tmp_path / "tiny")))
    whole = logits(checkpoint, [5, 17, 300, 42])
    np.testing.assert_allclose(logits(checkpoint, [5, 17, 300]), whole[:3], rtol=1e-12, atol=1e-12)


def test_every_format_gives_the_same_logits(tiny_folder: Path, tiny_gguf: Path) -> None:
    tokens = [1, 60, 61, 2, 300]
    np.testing.assert_array_equal(
        logits(open_checkpoint(str(tiny_gguf)), tokens), logits(open_checkpoint(str(tiny_folder)), tokens)
    )
