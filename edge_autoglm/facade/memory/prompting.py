"""A conversation as messages for the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_autoglm.knowledge.conversations import ConversationState, Turn
from edge_autoglm.values import Message

_SUMMARY = "Summary of the conversation so far: "
_FACTS = "Known facts:"

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """How a summary is asked for.

    Attributes:
        messages: For the model's chat template.
        begun: What the answer begins with.
    """

    messages: list[Message]
    begun: str


def messages_of(state: ConversationState, facts: Mapping[int, str], asked: Turn | None = None) -> list[Message]:
    """System prompt with the summary, the turns that were not folded, and what is asked now.

    As long as nothing is folded, the messages of a turn begin with those of the one before it: its KV goes on being of
    use. That is why facts stand with the turn that they were found for, and the summary in front.

    Args:
        state: Of the conversation.
        facts: Texts by number; those that were erased are missing, and no longer shown.
        asked: The new turn, not answered yet; ``None`` for none.
    """
    parts = [state.system, _SUMMARY + state.summary if state.summary else ""]
    head = "\n\n".join(part for part in parts if part)
    messages = [Message(role="system", content=head)] if head else []
    for turn in state.live:
        messages += [
            Message(role="user", content=_asked(turn, facts)),
            Message(role="assistant", content=turn.assistant),
        ]
    if asked is not None:
        messages.append(Message(role="user", content=_asked(asked, facts)))
    return messages


def facts_in(state: ConversationState, asked: Turn | None = None) -> Iterator[int]:
    """Numbers of the facts that the messages show."""
    for turn in (*state.live, *([] if asked is None else [asked])):
        yield from turn.facts


def summary_request(summary: str, turns: Sequence[Turn], words: int) -> SummaryRequest:
    """Asks the model to fold turns into a running summary, in Chinese where the user writes that, else in English.

    The beginning of the answer is given: a small model goes on with the conversation else, as if it had been asked.

    Args:
        summary: So far; empty for none.
        turns: To be folded into it.
        words: That it may have.
    """
    said = "\n".join(f"User: {turn.user}\nAssistant: {turn.assistant}" for turn in turns)
    asked = "".join(turn.user for turn in turns)
    if 2 * len(_HAN.findall(asked)) > len(_LETTER.findall(asked)):
        before = f"此前的摘要：{summary}\n\n" if summary else ""
        task = f"请用不超过{2 * words}个字概括以上对话，保留名字、数字和决定。"
        return SummaryRequest([Message(role="user", content=f"{before}对话：\n{said}\n\n{task}")], "用户")
    before = f"Summary so far: {summary}\n\n" if summary else ""
    task = f"Summarise the conversation in at most {words} words. Keep names, numbers and what was decided."
    return SummaryRequest([Message(role="user", content=f"{before}Conversation:\n{said}\n\n{task}")], "The user")


def _asked(turn: Turn, facts: Mapping[int, str]) -> str:
    known = [facts[number] for number in turn.facts if number in facts]
    if not known:
        return turn.user
    return "\n".join([_FACTS, *(f"- {text}" for text in known), "", turn.user])
