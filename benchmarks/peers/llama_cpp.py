"""llama.cpp through llama-cpp-python's C interface: a GGUF file, several requests as sequences of one batch."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.peers.protocol import Answer, Prompt, Settings

_LARGEST_STEP = 2048
"""Tokens of one call, as llama.cpp's server has it; its own default for ``n_batch``."""


class LlamaCppPeer:
    """`Peer` over llama.cpp on the CPU. Each step runs the tokens of all sequences that have some.

    Its KV cache is float16 and its choice of attention kernel is its own: what a user gets who sets nothing.
    """

    def __init__(self, settings: Settings) -> None:
        # Under another name than this module's.
        self._library = importlib.import_module("llama_cpp")
        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
        self._model = self._library.llama_model_load_from_file(
            settings.model.encode(), self._library.llama_model_default_params()
        )
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {settings.model}")
        self._context = self._library.llama_init_from_model(self._model, self._params(settings))
        if not self._context:
            raise RuntimeError("llama.cpp cannot make a context")
        self._vocab_size = self._library.llama_vocab_n_tokens(self._library.llama_model_get_vocab(self._model))
        self._step_limit = self._library.llama_n_batch(self._context)
        self._batch = self._library.llama_batch_init(self._step_limit, 0, settings.rows)

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {
            "llama-cpp-python": version("llama-cpp-python"),
            "system": self._library.llama_print_system_info().decode(),
        }

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), True)
        pending = [list(prompt.tokens) for prompt in prompts]
        lengths = [0] * len(prompts)
        generated: list[list[int]] = [[] for _ in prompts]
        arrivals: list[list[float]] = [[] for _ in prompts]
        started = time.perf_counter()
        while any(pending):
            for row, token in self._step(pending, lengths).items():
                arrivals[row].append(time.perf_counter() - started)
                generated[row].append(token)
                if len(generated[row]) < new_tokens:
                    pending[row].append(token)
        return [Answer.of_tokens(*of) for of in zip(prompts, generated, arrivals, strict=True)]

    def close(self) -> None:
        """See `Peer`."""
        self._library.llama_batch_free(self._batch)
        self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)

    def _params(self, settings: Settings) -> Any:
        params = self._library.llama_context_default_params()
        params.n_ctx = settings.rows * settings.capacity
        params.n_seq_max = settings.rows
        params.kv_unified = False
        params.n_batch = params.n_ubatch = min(params.n_ctx, _LARGEST_STEP)
        params.n_threads = params.n_threads_batch = settings.threads
        return params

    def _step(self, pending: list[list[int]], lengths: list[int]) -> dict[int, int]:
        """Run as many pending tokens as fit, those of decoding rows first; row -> its next token."""
        batch, count, last = self._batch, 0, {}
        for row in sorted(range(len(pending)), key=lambda row: len(pending[row])):
            room = self._step_limit - count
            for token in pending[row][:room]:
                batch.token[count], batch.pos[count] = token, lengths[row]
                batch.n_seq_id[count], batch.seq_id[count][0] = 1, row
                batch.logits[count] = False
                lengths[row] += 1
                count += 1
            if pending[row] and len(pending[row]) <= room:
                batch.logits[count - 1] = True
                last[row] = count - 1
            del pending[row][:room]
        batch.n_tokens = count
        if status := self._library.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {status}")
        return {row: self._best(index) for row, index in last.items()}

    def _best(self, index: int) -> int:
        """Reading the logits waits for the computation."""
        logits = self._library.llama_get_logits_ith(self._context, index)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocab_size,)).argmax())
