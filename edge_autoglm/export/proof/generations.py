"""Greedy answers of two engines to the same questions: how long they stay the same, and whether they are answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge_autoglm.runtime.engine import Chunk, Engine

_LONGEST_PERIOD = 8
"""Tokens of a phrase that is said over and over."""
_REPEATS = 3
_SHORTEST_LOOP = 12
"""Tokens that the repetitions must take up: "no, no, no" is no loop."""

Generations = list[list[int]]


@dataclass(frozen=True, slots=True)
class GenerationFigures:
    """Two engines' answers compared.

    Attributes:
        count: Questions.
        identical: Answers that are the same token for token.
        common_prefix: Mean number of leading tokens that are the same; an answer that is identical counts in full.
        reference_degenerate: Answers of the original that are empty or end in a loop.
        degenerate: Likewise, of the engine under test.
    """

    count: int
    identical: int
    common_prefix: float
    reference_degenerate: int
    degenerate: int


def generate_greedily(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    eos_token_ids: Collection[int],
    progress: Callable[[int, int], None],
) -> Generations:
    """Answer prompts, all at once.

    Args:
        engine: Prompt ``i`` takes slot ``i``.
        prompts: Two tokens or more each, as many as there are slots at most; they and the answer fit a slot.
        new_tokens: Longest answer.
        eos_token_ids: End an answer; not part of it.
        progress: Told of the tokens so far and ``new_tokens``.
    """
    for slot in range(len(prompts)):
        engine.truncate(slot, 0)
    logits = engine.forward([Chunk(slot, prompt) for slot, prompt in enumerate(prompts)])
    answers: Generations = [[] for _ in prompts]
    for step in range(new_tokens):
        progress(step, new_tokens)
        for answer, rows in zip(answers, logits, strict=True):
            answer.append(int(rows[-1].argmax()))
        if step + 1 < new_tokens:  # rows that have ended run on: rows side by side cost no more than some of them
            logits = engine.forward([Chunk(slot, (answer[-1],)) for slot, answer in enumerate(answers)])
    progress(new_tokens, new_tokens)
    return [_until(answer, eos_token_ids) for answer in answers]


def compare_generations(reference: Generations, candidate: Generations) -> GenerationFigures:
    """Compare answers to the same questions, in the same order; at least one."""
    pairs = list(zip(reference, candidate, strict=True))
    return GenerationFigures(
        count=len(pairs),
        identical=sum(left == right for left, right in pairs),
        common_prefix=sum(_common(left, right) for left, right in pairs) / len(pairs),
        reference_degenerate=sum(map(is_degenerate, reference)),
        degenerate=sum(map(is_degenerate, candidate)),
    )


def is_degenerate(answer: Sequence[int]) -> bool:
    """Whether an answer is empty or ends in a phrase that is repeated over and over."""
    return not answer or any(_ends_in_loop(answer, period) for period in range(1, _LONGEST_PERIOD + 1))


def _ends_in_loop(answer: Sequence[int], period: int) -> bool:
    length = max(_REPEATS * period, _SHORTEST_LOOP)
    tail = answer[-length:]
    return len(tail) == length and all(token == tail[i % period] for i, token in enumerate(tail))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    for i, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return i
    return min(len(left), len(right))


def _until(answer: list[int], eos_token_ids: Collection[int]) -> list[int]:
    end = next((i for i, token in enumerate(answer) if token in eos_token_ids), len(answer))
    return answer[:end]
