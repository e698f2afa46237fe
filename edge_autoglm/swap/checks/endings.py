"""Does the candidate come to an end where the active generation does?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.carried import same_variant
from edge_autoglm.swap.checks.answers import Probe, probes, render_probe
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import SamplingParams

_LONGEST = 48
"""Tokens in which an answer of the active generation has to end to be of use here."""
_TRIES = 6
_ENOUGH = 3


def never_ends(candidate: Generation, active: Generation, reference: LanguageModel) -> str | None:
    """What is wrong if the candidate ends none of the answers that the active generation ends, in ample time.

    Args:
        candidate: With a model of its own.
        active: What answers now.
        reference: Fork of the active generation's model.
    """
    ended = list(_ended(candidate, active, reference))
    for probe, length in ended:
        if _length(candidate.model, probe, _ample(length)) is not None:
            return None
    if not ended:
        return None
    probe, length = ended[0]
    return f"{probe}: does not end in {_ample(length)} tokens; the active generation's answer has {length}"


def _ended(candidate: Generation, active: Generation, reference: LanguageModel) -> Iterator[tuple[Probe, int]]:
    """Probes whose answers by the active generation's model end by themselves, and how long those are."""
    found = tries = 0
    for probe in probes(candidate, 1):
        if probe.task.kind != "generate" or not same_variant(probe.task, probe.variant, active.catalogue):
            continue
        tries += 1
        length = None
        with suppress(EdgeAutoGLMError):  # a probe that the active generation fails says nothing here
            length = _length(reference, probe, _LONGEST)
        if length is not None:
            found += 1
            yield probe, length
        if tries == _TRIES or found == _ENOUGH:
            return


def _ample(length: int) -> int:
    return 4 * length + 32


def _length(model: LanguageModel, probe: Probe, limit: int) -> int | None:
    """Tokens of an answer that ends by itself."""
    params = SamplingParams(max_new_tokens=limit, stop=probe.variant.sampling.stop)
    stream = model.stream(model.encode_prompt(render_probe(model, probe), probe.variant.soft_prompt), params, UNHURRIED)
    stream.read()
    return None if stream.finish_reason == "length" else stream.usage.new_tokens
