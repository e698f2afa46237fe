"""onnxruntime-genai: a folder that its own model builder wrote from the Hugging Face checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime_genai

from benchmarks.peers.protocol import Answer, Prompt, Settings


class OrtGenaiPeer:
    """`Peer` over onnxruntime-genai on the CPU. Several prompts are one static batch of equal lengths."""

    def __init__(self, settings: Settings) -> None:
        config = onnxruntime_genai.Config(settings.model)
        session = {"intra_op_num_threads": settings.threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._model = onnxruntime_genai.Model(config)

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {"onnxruntime-genai": version("onnxruntime-genai")}

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        lengths = {len(prompt.tokens) for prompt in prompts}
        if len(lengths) > 1:
            raise ValueError(f"a static batch wants prompts of one length, not {sorted(lengths)}")
        total = lengths.pop() + new_tokens
        params = onnxruntime_genai.GeneratorParams(self._model)
        # The least length is how it ignores the end-of-text token.
        params.set_search_options(max_length=total, min_length=total, do_sample=False, batch_size=len(prompts))
        generator = onnxruntime_genai.Generator(self._model, params)
        generated: list[list[int]] = [[] for _ in prompts]
        arrivals = []
        started = time.perf_counter()
        generator.append_tokens(np.array([prompt.tokens for prompt in prompts], dtype=np.int32))
        while not generator.is_done():
            generator.generate_next_token()
            arrivals.append(time.perf_counter() - started)
            for row, token in zip(generated, generator.get_next_tokens(), strict=True):
                row.append(int(token))
        return [Answer.of_tokens(prompt, row, arrivals) for prompt, row in zip(prompts, generated, strict=True)]

    def close(self) -> None:
        """See `Peer`."""
        del self._model
