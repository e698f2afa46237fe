"""edge-autoglm's engine over a bundle, on one device: forward steps and the largest logit, without a scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import edge_autoglm
from benchmarks.peers.protocol import Answer, Prompt, Settings
from benchmarks.peers.weight_bytes import read_a_token
from edge_autoglm import Bundle, RuntimeConfig
from edge_autoglm.facade.device_choice import STANDARD
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.engine import Chunk, Logits


class EdgeEngine:
    """`Peer` over an engine. Option ``device``: ``tensorrt``, ``cuda`` or ``cpu``.

    Every token is the host's choice from logits that the engine hands out, as in the runtime.
    """

    def __init__(self, settings: Settings) -> None:
        config = RuntimeConfig(slots=settings.rows, context_length=settings.capacity)
        bundle = Bundle.open(settings.model)
        self._model = load_model(bundle, settings.threads, config, device=str(settings.options["device"]))
        self._engine = self._model.engine
        self._weight_bytes = read_a_token(bundle.path(bundle.engine(STANDARD).graph))
        found = self._engine.facts.capacity
        if found < settings.capacity:
            self.close()
            raise ValueError(f"a slot holds {found} tokens: export with --capacity {settings.capacity}")

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {
            "edge-autoglm": edge_autoglm.__version__,
            "placement": str(self._model.placement),
            "weight_bytes": self._weight_bytes,
            "kv_bytes_per_token": self._engine.facts.kv_bytes_per_token,
        }

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        slots = range(len(prompts))
        for slot in slots:
            self._engine.truncate(slot, 0)
        rows: list[list[int]] = [[] for _ in slots]
        arrivals = []
        started = time.perf_counter()
        chunks = [Chunk(slot, prompt.tokens) for slot, prompt in enumerate(prompts)]
        for _ in range(new_tokens):
            for row, logits in zip(rows, self._engine.forward(chunks), strict=True):
                row.append(_largest(logits))
            arrivals.append(time.perf_counter() - started)
            chunks = [Chunk(slot, [rows[slot][-1]]) for slot in slots]
        return [Answer.of_tokens(prompt, row, arrivals) for prompt, row in zip(prompts, rows, strict=True)]

    def close(self) -> None:
        """See `Peer`."""
        self._model.close()


def _largest(logits: Logits) -> int:
    return int(np.argmax(logits[-1]))
