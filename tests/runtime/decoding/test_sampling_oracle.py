"""The distribution a token is drawn from, beside that of ``transformers``' own ``generate``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.values import SamplingParams

VOCAB = 512
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.7},
    {"temperature": 1.0, "top_k": 20},
    {"temperature": 1.3, "top_p": 0.8},
    {"temperature": 1.0, "top_p": 0.95},
    {"temperature": 0.9, "min_p": 0.1},
    {"temperature": 1.0, "repetition_penalty": 1.8},
    {"temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.3},
    {"temperature": 0.6, "top_p": 0.7, "min_p": 0.3, "repetition_penalty": 0.7},
]


@pytest.fixture(scope="module")
def model() -> Any:
    torch = pytest.importorskip("torch", reason="the oracle torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle transformers is not installed")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    made = transformers.LlamaForCausalLM(config).eval()
    # Random weights are nearly uniform over the vocabulary; a trained model is not.
    made.lm_head.weight.data *= 25
    return made


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_step_draws_from_the_distribution_of_transformers(
    settings: dict[str, Any], masked: bool, model: Any
) -> None:
    import torch

    prompt = [5, 9, 200, 9, 401]
    allowed = np.random.default_rng(1).random(VOCAB) < 0.4
    torch.manual_seed(3)
    generated = model.generate(
        torch.tensor([prompt]),
        do_sample=True,
        max_new_tokens=40,
        eos_token_id=-1,
        pad_token_id=0,
        output_scores=True,
        output_logits=True,
        return_dict_in_generate=True,
        prefix_allowed_tokens_fn=(lambda *_: np.flatnonzero(allowed).tolist()) if masked else None,
        **{"top_k": 0, **settings},
    )
    sampler = Sampler(SamplingParams(**settings), 0, prompt)
    steps = zip(generated.logits, generated.scores, generated.sequences[0, len(prompt) :].tolist(), strict=True)
    for logits, scores, token in steps:
        ids, weights = sampler.distribution(logits[0].float().numpy(), allowed if masked else None)
        ours = np.zeros(VOCAB)
        ours[slice(None) if ids is None else ids] = weights / weights.sum(dtype=np.float64)
        theirs = torch.softmax(scores[0].double(), dim=-1).numpy()
        assert np.flatnonzero(ours).tolist() == np.flatnonzero(theirs).tolist()
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-9)
        sampler.push(token)
