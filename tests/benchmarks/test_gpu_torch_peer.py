"""The torch contestant's loop, on the CPU: what a CUDA graph adds is seen on a GPU only."""

from pathlib import Path

import pytest

from tests.checkpoints import write_tiny_llama

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.gpu.torch_peer import TorchPeer  # noqa: E402 - imports torch
from benchmarks.peers.protocol import Prompt, Settings  # noqa: E402

PROMPTS = [Prompt([5, 6, 7, 8, 9, 10, 11], ""), Prompt([9, 8, 7, 6, 5, 4, 3], "")]
NEW_TOKENS = 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "hf")


@pytest.fixture(scope="module")
def peer(checkpoint: Path) -> TorchPeer:
    return TorchPeer(Settings(str(checkpoint), 1, 2, 64, {"device": "cpu", "graph": False}))


def test_it_generates_what_transformers_does(peer: TorchPeer, checkpoint: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float16)
    for answer, prompt in zip(peer.generate(PROMPTS, NEW_TOKENS), PROMPTS, strict=True):
        wanted = model.generate(
            torch.tensor([prompt.tokens]), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
        )
        assert answer.tokens == wanted[0, len(prompt.tokens) :].tolist()
        assert len(answer.arrivals) == NEW_TOKENS


def test_rows_and_repetitions_change_nothing(peer: TorchPeer) -> None:
    together = [answer.tokens for answer in peer.generate(PROMPTS, NEW_TOKENS)]
    assert [answer.tokens for answer in peer.generate(PROMPTS, NEW_TOKENS)] == together
    assert [peer.generate([prompt], NEW_TOKENS)[0].tokens for prompt in PROMPTS] == together


def test_it_says_what_a_step_reads(peer: TorchPeer) -> None:
    layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64
    norms = 5 * 64
    about = peer.describe()
    assert about["weight_bytes"] == 2 * (2 * layer + 320 * 64 + norms)
    assert about["kv_bytes_per_token"] == 2 * 2 * 2 * 16 * 2
