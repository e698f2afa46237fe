"""transformers on torch: the Hugging Face folder in float16, scaled-dot-product attention, a static KV cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch
import transformers

from benchmarks.peers.protocol import Answer, Prompt, Settings

_BYTES = 2
"""Of a float16."""
_WARM_UP_STEPS = 3
"""Before a capture, as torch's documentation of CUDA graphs has it: libraries make their handles in them."""


class TorchPeer:
    """`Peer` over transformers.

    Options: ``device`` is ``cuda`` (``cpu`` in tests); ``graph`` says whether decode steps replay a CUDA graph.
    """

    def __init__(self, settings: Settings) -> None:
        self._device, self._graph = str(settings.options["device"]), bool(settings.options["graph"])
        model = transformers.AutoModelForCausalLM.from_pretrained(
            settings.model, dtype=torch.float16, attn_implementation="sdpa"
        )
        self._model = model.to(self._device).eval()
        self._loops: dict[tuple[int, int], _Loop] = {}

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        config = self._model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        # An embedding that is not the head too is looked up, not read.
        looked_up = 0 if config.tie_word_embeddings else self._model.get_input_embeddings().weight.nbytes
        return {
            "transformers": version("transformers"),
            "torch": version("torch"),
            "dtype": "float16",
            "weight_bytes": sum(weight.nbytes for weight in self._model.parameters()) - looked_up,
            "kv_bytes_per_token": 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim * _BYTES,
        }

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        [length] = {len(prompt.tokens) for prompt in prompts}  # a static batch is of one length
        shape = (len(prompts), length + new_tokens)
        with torch.inference_mode():
            if shape not in self._loops:
                self._loops[shape] = _Loop(self._model, self._device, *shape, graph=self._graph)
            generated, arrivals = self._loops[shape].run([prompt.tokens for prompt in prompts], new_tokens)
        rows = [list(row) for row in zip(*generated, strict=True)]
        return [Answer.of_tokens(prompt, row, arrivals) for prompt, row in zip(prompts, rows, strict=True)]

    def close(self) -> None:
        """See `Peer`."""
        self._loops.clear()
        del self._model


class _Loop:
    """Greedy decoding of so many rows in a cache that is just as long as it has to be."""

    def __init__(self, model: Any, device: str, rows: int, capacity: int, *, graph: bool) -> None:
        self._model = model
        self._cache = transformers.StaticCache(config=model.config, max_cache_len=capacity)
        self._tokens = torch.zeros((rows, 1), dtype=torch.long, device=device)
        self._advance: Callable[[], None] = self._step
        if graph:
            self._advance = self._captured()

    def run(self, prompts: list[list[int]], new_tokens: int) -> tuple[list[list[int]], list[float]]:
        """Tokens of all rows, step by step, and when they were on the host."""
        self._cache.reset()
        generated = [self._fetch()]  # so that nothing is left to wait for
        arrivals = []
        started = time.perf_counter()
        for number in range(new_tokens):
            if number:
                self._advance()
            else:
                self._append(torch.tensor(prompts, device=self._tokens.device))
            generated.append(self._fetch())
            arrivals.append(time.perf_counter() - started)
        return generated[1:], arrivals

    def _step(self) -> None:
        self._append(self._tokens)

    def _append(self, tokens: torch.Tensor) -> None:
        logits = self._model(tokens, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits
        self._tokens.copy_(logits[:, -1].argmax(-1, keepdim=True))

    def _fetch(self) -> list[int]:
        fetched: list[int] = self._tokens[:, 0].tolist()
        return fetched

    def _captured(self) -> Callable[[], None]:
        """A replay of one step: tokens, cache and its length are updated in place."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self._cache.reset()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        replay: Callable[[], None] = graph.replay
        return replay
