"""The model's own summary of turns that leave its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_autoglm.facade.conversation import chat_prompt
from edge_autoglm.facade.memory.prompting import summary_request
from edge_autoglm.knowledge.conversations import Turn
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.sampling_params import SamplingParams
from edge_autoglm.swap.garbage import is_garbage

_WORDS_A_TOKEN = 0.6


def summarise(model: LanguageModel, summary: str, turns: Sequence[Turn], tokens: int, urgency: Urgency) -> str:
    """The summary so far and some turns as one summary of at most so many tokens.

    Turns that do not fit a slot together are folded in one after the other; one that does not fit alone is cut. An
    answer that is no text leaves the summary as it was.
    """
    waiting = list(turns)
    while waiting:
        count = _fitting(model, summary, waiting, tokens)
        batch, waiting = waiting[: max(1, count)], waiting[max(1, count) :]
        if not count:
            batch = [_cut_to_fit(model, summary, batch[0], tokens)]
        summary = _asked(model, summary, batch, tokens, urgency)
    return summary


def _asked(model: LanguageModel, summary: str, turns: Sequence[Turn], tokens: int, urgency: Urgency) -> str:
    prompt, begun = _prompt(model, summary, turns, tokens)
    told = model.stream(model.encode_prompt(prompt), SamplingParams(max_new_tokens=tokens), urgency).read()
    told = told.replace("\0", "").rstrip()
    return summary if not told or is_garbage(told) else begun + told


def _fitting(model: LanguageModel, summary: str, turns: Sequence[Turn], tokens: int) -> int:
    """How many of the turns, from the first, fit a slot together."""
    count = len(turns)
    while count and not _fits(model, summary, turns[:count], tokens):
        count //= 2
    return count


def _cut_to_fit(model: LanguageModel, summary: str, turn: Turn, tokens: int) -> Turn:
    """A turn whose texts end early."""
    while not _fits(model, summary, [turn], tokens) and (turn.user or turn.assistant):
        turn = replace(
            turn, user=turn.user[: len(turn.user) // 2], assistant=turn.assistant[: len(turn.assistant) // 2]
        )
    return turn


def _fits(model: LanguageModel, summary: str, turns: Sequence[Turn], tokens: int) -> bool:
    size = len(model.tokenizer.encode(_prompt(model, summary, turns, tokens)[0]))
    return size + 1 + tokens <= model.engine.facts.capacity


def _prompt(model: LanguageModel, summary: str, turns: Sequence[Turn], tokens: int) -> tuple[str, str]:
    """The prompt, and with what it has begun the answer."""
    request = summary_request(summary, turns, max(1, int(_WORDS_A_TOKEN * tokens)))
    return chat_prompt(model, request.messages) + request.begun, request.begun
