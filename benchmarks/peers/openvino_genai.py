"""OpenVINO GenAI: a GGUF file read directly, one request at a time or by continuous batching."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from benchmarks.peers.protocol import Answer, Prompt, Settings

_BYTES_A_GIGABYTE = 1 << 30


class OpenVinoPeer:
    """`Peer` over OpenVINO GenAI on the CPU.

    Option ``batching``: the continuous batching pipeline, its prefix cache off; else the plain pipeline with the SDPA
    backend, which is the faster one for a single request. All else is what a user gets who sets nothing: dynamically
    quantised activations and an 8-bit KV cache.
    """

    def __init__(self, settings: Settings) -> None:
        self._batching = bool(settings.options.get("batching"))
        self._pipeline = self._open_batching(settings) if self._batching else self._open_plain(settings)

    def describe(self) -> dict[str, Any]:
        """See `Peer`."""
        return {
            "openvino-genai": openvino_genai.__version__,
            "openvino": openvino.__version__,
            "pipeline": type(self._pipeline).__name__,
        }

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer`."""
        config = openvino_genai.GenerationConfig(
            max_new_tokens=new_tokens, ignore_eos=True, do_sample=False, apply_chat_template=False
        )
        inputs = [openvino.Tensor(np.array([prompt.tokens], dtype=np.int64)) for prompt in prompts]
        if self._batching:
            return self._generate_batched(prompts, inputs, config)
        if len(prompts) > 1:
            raise ValueError("several requests need the option batching")
        return [self._generate_one(prompts[0], inputs[0], config)]

    def close(self) -> None:
        """See `Peer`."""
        del self._pipeline

    def _open_plain(self, settings: Settings) -> Any:
        return openvino_genai.LLMPipeline(
            settings.model, "CPU", ATTENTION_BACKEND="SDPA", INFERENCE_NUM_THREADS=settings.threads
        )

    def _open_batching(self, settings: Settings) -> Any:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        scheduler.max_num_seqs = settings.rows
        scheduler.cache_size = _cache_gigabytes(settings)
        properties = {"INFERENCE_NUM_THREADS": settings.threads}
        return openvino_genai.ContinuousBatchingPipeline(Path(settings.model), scheduler, "CPU", properties)

    def _generate_one(self, prompt: Prompt, tokens: openvino.Tensor, config: Any) -> Answer:
        streamer = _Arrivals()
        started = time.perf_counter()
        result = self._pipeline.generate(tokens, config, streamer)
        return Answer.of_tokens(prompt, result.tokens[0], [moment - started for moment in streamer.moments])

    def _generate_batched(
        self, prompts: Sequence[Prompt], inputs: Sequence[openvino.Tensor], config: Any
    ) -> list[Answer]:
        started = time.perf_counter()
        handles = [self._pipeline.add_request(number, tokens, config) for number, tokens in enumerate(inputs)]
        arrivals: list[list[float]] = [[] for _ in prompts]
        generated: list[list[int]] = [[] for _ in prompts]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            now = time.perf_counter() - started
            for number, handle in enumerate(handles):
                while handle.can_read():
                    [output] = handle.read().values()
                    generated[number].extend(output.generated_ids)
                    arrivals[number].extend([now] * len(output.generated_ids))
        return [Answer.of_tokens(*of) for of in zip(prompts, generated, arrivals, strict=True)]


class _Arrivals(openvino_genai.StreamerBase):  # type: ignore[misc]
    """Notes when each token comes."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def write(self, tokens: int | list[int]) -> openvino_genai.StreamingStatus:
        """Called with one token, or with some that the pipeline held back."""
        count = len(tokens) if isinstance(tokens, list) else 1
        self.moments += [time.perf_counter()] * count
        return openvino_genai.StreamingStatus.RUNNING

    def end(self) -> None:
        """Called behind the last token."""


def _cache_gigabytes(settings: Settings) -> int:
    """Whole gigabytes for the KV of all requests, from a generous 256 KiB a token."""
    needed = settings.rows * settings.capacity * (256 << 10)
    return max(1, -(-needed // _BYTES_A_GIGABYTE))
