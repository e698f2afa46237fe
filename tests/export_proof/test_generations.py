"""Greedy answers: generated all at once, compared token for token."""

from __future__ import annotations

import pytest

from edge_autoglm.export.proof.generations import compare_generations, generate_greedily, is_degenerate
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prompts import PROMPTS
from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine


def _silent(done: int, total: int) -> None:
    pass


def test_a_script_is_followed_up_to_the_end_of_the_answer() -> None:
    engine = ScriptedEngine(vocab_size=16, slots=3, script={(3,): 4, (4,): 5, (5,): 2, (7,): 7, (2,): 9})
    told: list[int] = []
    answers = generate_greedily(engine, [[1, 3], [1, 7], [1, 5]], 4, {2}, lambda done, _: told.append(done))
    assert answers == [[4, 5], [7, 7, 7, 7], []]
    assert told == [0, 1, 2, 3, 4]


def test_all_at_once_is_what_each_alone_would_be(engine: Engine, language: Language) -> None:
    prompts = [language.prompt(question) for question in PROMPTS]
    answers = generate_greedily(engine, prompts, 8, language.eos_token_ids, _silent)
    for prompt, answer in list(zip(prompts, answers, strict=True))[::6]:
        engine.truncate(0, 0)
        [logits] = engine.forward([Chunk(0, prompt)])
        alone = []
        for _ in range(8):
            alone.append(int(logits[-1].argmax()))
            if alone[-1] in language.eos_token_ids:
                alone.pop()
                break
            [logits] = engine.forward([Chunk(0, alone[-1:])])
        assert answer == alone


def test_answers_are_compared_token_for_token() -> None:
    figures = compare_generations([[1, 2, 3], [4, 5], [], [7]], [[1, 2, 3], [4, 6], [8], [7, 9]])
    assert figures.count == 4
    assert figures.identical == 1
    assert figures.common_prefix == (3 + 1 + 0 + 1) / 4
    assert (figures.reference_degenerate, figures.degenerate) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [[], [5] * 12, [9, 8, 7, *[1, 2] * 6], [0, *[1, 2, 3, 4] * 3], [*range(50, 60), *range(8), *range(8), *range(8)]],
)
def test_an_empty_answer_and_a_loop_are_degenerate(answer: list[int]) -> None:
    assert is_degenerate(answer)


@pytest.mark.parametrize(
    "answer",
    [[5], [5] * 11, [*[1] * 20, 2], [1, 2, 3, 1, 2, 3, 1, 2, 3], list(range(32)), [*range(8), *range(8), 3, *range(7)]],
)
def test_short_repetitions_and_plain_answers_are_not(answer: list[int]) -> None:
    assert not is_degenerate(answer)


def test_the_prompts_are_twenty_different_ones() -> None:
    assert len(set(PROMPTS)) == 20
