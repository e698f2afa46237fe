"""edge-autoglm, through its public API: a bundle, opened as an app opens it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import edge_autoglm
from benchmarks.peers.protocol import Answer, Prompt, Settings
from edge_autoglm import Runtime, RuntimeConfig, SamplingParams
from edge_autoglm.values import Priority


class EdgePeer:
    """`Peer` over a `Runtime`; each prompt of several is read in a thread of its own.

    Speculation by look-up is off, as it is in the peers: a token is a step. So is the cache of whole answers.
    """

    def __init__(self, settings: Settings) -> None:
        config = RuntimeConfig(
            tasks=(),
            slots=settings.rows,
            context_length=settings.capacity,
            speculate=False,
            response_cache_bytes=0,
        )
        self._runtime = Runtime.open(settings.model, threads=settings.threads, config=config)
        self._readers = ThreadPoolExecutor(settings.rows)

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {"edge-autoglm": edge_autoglm.__version__}

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        params = SamplingParams(max_new_tokens=new_tokens, min_new_tokens=new_tokens)
        answer = partial(self._answer, params, time.perf_counter())
        if len(prompts) == 1:
            return [answer(prompts[0])]
        return list(self._readers.map(answer, prompts))

    def close(self) -> None:
        """See `Peer`."""
        self._readers.shutdown()
        self._runtime.close()

    def _answer(self, params: SamplingParams, started: float, prompt: Prompt) -> Answer:
        """Read one stream to its end; its first token's time is the runtime's own, as a piece may be several tokens."""
        time.sleep(max(0.0, started + prompt.delay - time.perf_counter()))
        asked = time.perf_counter() - started
        priority = Priority[prompt.priority.upper()] if prompt.priority else Priority.NORMAL
        stream = self._runtime.generate_stream(prompt.text, params, priority=priority)
        arrivals = [time.perf_counter() - started for _ in stream]
        completion = stream.completion
        return Answer(
            prompt_tokens=completion.usage.prompt_tokens,
            cached_tokens=completion.usage.num_cached_tokens,
            new_tokens=completion.usage.new_tokens,
            asked=asked,
            first=asked + completion.timings.ttft,
            last=asked + completion.timings.total,
            arrivals=arrivals,
            text=completion.text,
        )
