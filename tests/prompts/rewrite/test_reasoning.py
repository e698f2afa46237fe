from __future__ import annotations

import pytest

from edge_autoglm.prompts.rewrite import final_answer
from tests.prompts.rewrite.drafts import material, proposals, question, seed, sentiment


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("First 2, then 2.\nAnswer: 4", "4"),
        ("The answer: 3? No.\n**Answer:** 4 apples\n", "4 apples"),
        ("先算二加二。\n答案：四", "四"),
        ("Paris.", "Paris."),
        ("Let me see.\nAnswer:", "Let me see.\nAnswer:"),
        ("", ""),
    ],
)
def test_the_final_answer_is_what_stands_behind_the_last_mark(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize("operator", ["step_by_step", "least_to_most"])
def test_a_generated_answer_gets_room_to_reason_and_a_last_line(operator: str) -> None:
    given = material(question())
    drafts = proposals(operator, seed(given.task, "asked", given), given)
    assert drafts
    for draft in drafts:
        assert 'begins with "Answer:"' in str(draft.variant.prompt)
        assert draft.variant.sampling.max_new_tokens == 120
        assert draft.variant.sampling.stop == ("\nQ:",)
        assert not proposals("shots", draft, given)
        [again, *_] = proposals(operator, draft, given)
        assert again.variant.sampling.max_new_tokens == 120
        assert str(again.variant.prompt).count("Answer:") == 1


def test_a_label_stands_right_behind_the_reasoning_phrase() -> None:
    given = material(sentiment())
    drafts = proposals("step_by_step", seed(given.task, "review", given), given)
    prompts = [str(draft.variant.prompt) for draft in drafts]
    assert any(prompt.endswith("Let's think step by step. Therefore, the sentiment is") for prompt in prompts)
