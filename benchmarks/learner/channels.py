"""What can happen to feedback between a user and the learner."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

DELAY = 100
MISSING, FLIPPED, HOSTILE = 0.8, 0.1, 0.2
_USERS = 50


@dataclass(frozen=True, slots=True)
class Message:
    """One feedback on its way.

    Attributes:
        due: Step after which it arrives.
        decision: Id.
        reward: As it is reported.
        source: Who reports it.
    """

    due: int
    decision: str
    reward: float
    source: str


Channel = Callable[[Message, random.Random], Message | None]
"""From what an honest user would report at once to what arrives; ``None`` where nothing does."""


def clean(message: Message, rng: random.Random) -> Message | None:
    """At once, and as it was."""
    return message


def late(message: Message, rng: random.Random) -> Message | None:
    """After a hundred further decisions."""
    return Message(message.due + DELAY, message.decision, message.reward, message.source)


def missing(message: Message, rng: random.Random) -> Message | None:
    """One in five arrives."""
    return None if rng.random() < MISSING else message


def flipped(message: Message, rng: random.Random) -> Message | None:
    """One in ten says the contrary."""
    if rng.random() >= FLIPPED:
        return message
    return Message(message.due, message.decision, 1.0 - message.reward, message.source)


def hostile(message: Message, rng: random.Random) -> Message | None:
    """One in five comes from one and the same source, which always says the contrary."""
    if rng.random() >= HOSTILE:
        return message
    return Message(message.due, message.decision, 1.0 - message.reward, "hostile")


CHANNELS: dict[str, Channel] = {
    "clean": clean,
    "late": late,
    "missing": missing,
    "flipped": flipped,
    "hostile": hostile,
}


def user(rng: random.Random) -> str:
    """One of the honest sources."""
    return f"user {rng.randrange(_USERS)}"
