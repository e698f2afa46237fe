"""transformers on torch: the Hugging Face folder as it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
import transformers

from benchmarks.peers.protocol import Answer, Prompt, Settings


class TransformersPeer:
    """`Peer` over transformers on the CPU. Option ``dtype``: ``float32`` or ``bfloat16``.

    A loop of its own instead of ``generate``, which adds some per cent of Python to a small model.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self._dtype = str(settings.options["dtype"])
        model = transformers.AutoModelForCausalLM.from_pretrained(settings.model, dtype=getattr(torch, self._dtype))
        self._model = model.eval()

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {"transformers": version("transformers"), "torch": version("torch"), "dtype": self._dtype}

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        generated, arrivals = [], []
        started = time.perf_counter()
        with torch.inference_mode():
            tokens, cache = torch.tensor([prompt.tokens for prompt in prompts]), None
            for _ in range(new_tokens):
                output = self._model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, tokens = output.past_key_values, output.logits[:, -1].argmax(-1, keepdim=True)
                generated.append(tokens[:, 0].tolist())
                arrivals.append(time.perf_counter() - started)
        rows = [list(row) for row in zip(*generated, strict=True)]
        return [Answer.of_tokens(prompt, row, arrivals) for prompt, row in zip(prompts, rows, strict=True)]

    def close(self) -> None:
        """See `Peer`."""
        del self._model
