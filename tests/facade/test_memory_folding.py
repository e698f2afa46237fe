"""Which turns leave a prompt that is over its budget; sizes here are characters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_autoglm.errors import EngineError, PromptTooLong
from edge_autoglm.facade.memory.folding import fold
from edge_autoglm.facade.memory.settings import MemorySettings
from edge_autoglm.knowledge.conversations import ConversationState, Turn

TEN = ConversationState("c", "sys", turns=tuple(Turn(str(n) * 5, str(n) * 5) for n in range(10)))


def size(state: ConversationState) -> int:
    return len(state.system) + len(state.summary) + sum(len(turn.user + turn.assistant) for turn in state.live)


def joined(summary: str, turns: Sequence[Turn]) -> str:
    return summary + "".join(turn.user[0] for turn in turns)


def test_what_fits_is_left_as_it_is() -> None:
    assert fold(TEN, MemorySettings(), 103, size, joined) is TEN


def test_the_oldest_are_folded_together_well_below_the_budget() -> None:
    folded = fold(TEN, MemorySettings(summary_tokens=10), 100, size, joined)
    assert (folded.folded, folded.summary) == (6, "012345")  # 3 + 40 + 10 for a summary is below 60 of 100
    assert folded.turns == TEN.turns
    again = fold(folded, MemorySettings(summary_tokens=10), 40, size, joined)
    assert (again.folded, again.summary) == (8, "01234567")


def test_the_last_turns_go_only_where_they_do_not_fit_otherwise() -> None:
    kept = fold(TEN, MemorySettings(summary_tokens=10, keep_turns=4), 60, size, joined)
    assert kept.folded == 6
    tight = fold(TEN, MemorySettings(summary_tokens=4, keep_turns=4), 24, size, joined)
    assert tight.folded == 9
    assert size(tight) <= 24


def test_the_summary_goes_last_and_then_it_is_refused() -> None:
    assert fold(TEN, MemorySettings(summary_tokens=5), 5, size, joined).summary == ""
    with pytest.raises(PromptTooLong, match=r"take 3 tokens, the conversation's budget is 2"):
        fold(TEN, MemorySettings(), 2, size, joined)


def test_a_summary_that_is_longer_than_reckoned_costs_more_turns() -> None:
    folded = fold(TEN, MemorySettings(summary_tokens=2), 60, size, lambda summary, turns: "s" * 45)
    assert size(folded) <= 60
    assert len(folded.summary) == 45


def test_where_the_model_fails_the_conversation_goes_on_with_the_summary_of_before() -> None:
    def failing(summary: str, turns: Sequence[Turn]) -> str:
        raise EngineError("no slot", "Wait.")

    before = fold(TEN, MemorySettings(summary_tokens=10), 100, size, joined)
    assert fold(before, MemorySettings(summary_tokens=10), 40, size, failing).summary == before.summary
    assert fold(TEN, MemorySettings(summaries=False), 60, size, failing).summary == ""
