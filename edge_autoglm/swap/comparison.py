"""Second part of the health check: is the candidate's model like the active one in what it says and how fast?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PromptError
from edge_autoglm.prompts.task import PLAIN
from edge_autoglm.runtime.decoding.logprobs import log_softmax
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.answers import Probe, render_probe
from edge_autoglm.swap.generation import Generation

Clock = Callable[[], float]
"""Seconds, from any origin."""

_COMMON_TEXTS = ("The weather in the mountains changes quickly, so", "1, 2, 3, 4,", "从前有一座山，山里有")
"""Compared beside the probes, so that a catalogue without probes is compared as well."""

_MAX_CHARS = 256
_MAX_TOKENS = 64
"""Of a prompt. Requests to the active generation wait for the engine no longer than such a prefill takes."""


def comparison_texts(active: Generation, max_probes: int) -> list[str]:
    """Beginnings of prompts that owe nothing to the wording of a variant: the bare input of each probe."""
    return [*dict.fromkeys(_plain_prompts(active, max_probes)), *_COMMON_TEXTS]


def _plain_prompts(active: Generation, max_probes: int) -> Iterator[str]:
    for task in active.catalogue.tasks:
        for number, inputs in enumerate(task.probes[:max_probes], start=1):
            with suppress(PromptError):  # what the active generation cannot read, the candidate need not
                yield render_probe(active.model, Probe(task, task.variant(PLAIN), number, inputs))[:_MAX_CHARS]


def same_tokens(one: LanguageModel, other: LanguageModel, texts: Sequence[str]) -> bool:
    """Whether two models read the texts as the same tokens of vocabularies of the same size."""
    if one.engine.facts.vocab_size != other.engine.facts.vocab_size:
        return False
    return all(one.encode_prompt(text) == other.encode_prompt(text) for text in texts)


def mean_kl(reference: LanguageModel, candidate: LanguageModel, texts: Sequence[str]) -> float:
    """Mean Kullback-Leibler divergence KL(reference || candidate) of the next token after each text, in nats.

    Raises:
        EngineError: Logits are no numbers.
    """
    return float(np.mean([_kl(_log_next(reference, text), _log_next(candidate, text)) for text in texts]))


def latency_ratio(reference: LanguageModel, candidate: LanguageModel, text: str, rounds: int, clock: Clock) -> float:
    """How many times as long as the reference the candidate takes for a short prefill and one decode step.

    Both run in turn, so that other load on the device slows both; the first run of each, which allocates, is not
    counted.

    Returns:
        The median over the rounds.
    """
    for model in (reference, candidate):
        _seconds(model, text, clock)
    ratios = []
    for index in range(rounds):
        models = (reference, candidate) if index % 2 else (candidate, reference)
        seconds = {id(model): _seconds(model, text, clock) for model in models}
        ratios.append(seconds[id(candidate)] / seconds[id(reference)])
    return statistics.median(ratios)


def run_once(model: LanguageModel, text: str) -> Logits:
    """One forward pass over the beginning of a text; logits ``[vocab_size]`` behind it."""
    return model.try_out(model.encode_prompt(text)[:_MAX_TOKENS])


def _log_next(model: LanguageModel, text: str) -> npt.NDArray[np.float64]:
    log_probabilities: npt.NDArray[np.float64] = log_softmax(run_once(model, text))
    return log_probabilities


def _kl(log_p: npt.NDArray[np.float64], log_q: npt.NDArray[np.float64]) -> float:
    possible = np.isfinite(log_p)  # a token of probability 0 adds nothing, whatever the other says
    return float(np.sum(np.exp(log_p[possible]) * (log_p[possible] - log_q[possible])))


def _seconds(model: LanguageModel, text: str, clock: Clock) -> float:
    tokens = model.encode_prompt(text)[:_MAX_TOKENS]
    started = clock()
    model.try_out(tokens, decode_steps=1)
    return clock() - started
