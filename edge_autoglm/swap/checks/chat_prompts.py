"""Where the chat template is another one: does the candidate still answer chats as the active generation does?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from edge_autoglm.errors import PromptError
from edge_autoglm.runtime.decoding.logprobs import log_softmax
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.carried import same_variant
from edge_autoglm.swap.checks.answers import Probe, probes, render_probe
from edge_autoglm.swap.checks.distribution import kl_divergence
from edge_autoglm.swap.generation import Generation


def chat_kl(candidate: Generation, active: Generation, reference: LanguageModel, max_probes: int) -> float | None:
    """Mean KL, in nats, of the first token of the answers to prompts that the two put in other tokens.

    Returns:
        ``None`` if there are no such prompts.

    Raises:
        EngineError: Logits are no numbers.
    """
    found = [
        kl_divergence(log_softmax(reference.try_out(now)), log_softmax(candidate.model.try_out(then)))
        for now, then in _prompts(candidate, active, reference, max_probes)
        if now != then
    ]
    return float(np.mean(found)) if found else None


def _prompts(
    candidate: Generation, active: Generation, reference: LanguageModel, max_probes: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Probes as either generation puts them to its model, by variants that both have."""
    for probe in probes(candidate, max_probes):
        if probe.variant.messages is None or not same_variant(probe.task, probe.variant, active.catalogue):
            continue
        with suppress(PromptError):  # the probes' own check names it
            yield _tokens(reference, probe), _tokens(candidate.model, probe)


def _tokens(model: LanguageModel, probe: Probe) -> list[int]:
    return model.encode_prompt(render_probe(model, probe))
