"""Keeping a conversation within its token budget: old turns become a summary, or are left out."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_autoglm.errors import EdgeAutoGLMError, PromptTooLong
from edge_autoglm.facade.memory.settings import MemorySettings
from edge_autoglm.knowledge.conversations import ConversationState, Turn

Size = Callable[[ConversationState], int]
Summarise = Callable[[str, Sequence[Turn]], str]

_log = logging.getLogger("edge_autoglm")


def fold(
    state: ConversationState, settings: MemorySettings, budget: int, size: Size, summarise: Summarise
) -> ConversationState:
    """The conversation, such that its prompt fits; the very same one where it does already.

    The oldest turns go first, together, down to well below the budget: each time a prompt is rewritten its KV has to be
    computed anew. The last ``keep_turns`` go only where they would not fit otherwise; the summary goes last.

    Args:
        state: Before.
        settings: Of the conversation.
        budget: Tokens of the prompt.
        size: Tokens of a state's prompt, with what is asked now.
        summarise: From the summary so far and turns to the next summary; empty where there is none.

    Raises:
        PromptTooLong: Not even system prompt and what is asked now fit.
    """
    if size(state) <= budget:
        return state
    folded = _folded(state, settings, settings.target(budget), size, len(state.live) - settings.keep_turns)
    if size(folded) > budget:
        folded = _folded(state, settings, budget, size, len(state.live))
    gone = state.live[: folded.folded - state.folded]
    summary = _summary(state, gone, summarise) if settings.summaries and gone else state.summary
    folded = replace(folded, summary=summary)
    while size(folded) > budget and folded.live:  # the summary is longer than was reckoned with
        folded = replace(folded, folded=folded.folded + 1)
    if size(folded) > budget:
        folded = replace(folded, summary="")
    if size(folded) > budget:
        raise PromptTooLong(
            f"system prompt and text take {size(folded)} tokens, the conversation's budget is {budget}",
            "Shorten them, or raise budget_tokens.",
        )
    return folded


def _folded(
    state: ConversationState, settings: MemorySettings, target: int, size: Size, most: int
) -> ConversationState:
    """As few of the oldest turns gone as reach the target, with room for a summary; at most so many."""
    room = settings.summary_tokens if settings.summaries else 0

    def without(count: int) -> ConversationState:
        return replace(state, folded=state.folded + count, summary="")

    return without(bisect_left(range(max(0, most)), True, key=lambda count: size(without(count)) + room <= target))


def _summary(state: ConversationState, turns: Sequence[Turn], summarise: Summarise) -> str:
    """The model's summary; where it fails, the one before stays: a conversation goes on without."""
    try:
        return summarise(state.summary, turns).strip() or state.summary
    except EdgeAutoGLMError as error:
        _log.warning("turns of a conversation are left out without a summary: %s", error)
        return state.summary
