"""What became of an attempt to change the active generation: always a value, never silence."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import EdgeAutoGLMError


@dataclass(frozen=True, slots=True)
class Swapped:
    """The candidate answers requests now."""

    generation: int
    """Its number."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The candidate was freed; the active generation never stopped answering."""

    reason: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A generation that answered users was taken back: all of them, or a canary's share.

    The previous generation answers again; the one it replaces is freed when its last lease ends.
    """

    reason: str
    generation: int
    """Number of the generation that is active now."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Whoever asked for the swap took that back, or the runtime was closed; the candidate was freed."""

    stage: str
    """In which it was."""


@dataclass(frozen=True, slots=True)
class DrainTimedOut:
    """The candidate answers requests now, but a generation of before still has some and holds its memory."""

    generation: int
    """Number of the one that is active now."""
    waiting_for: int
    """Number of the one that is still in use; it is freed when its last request ends."""
    requests: int
    """That run on it."""


SwapOutcome = Swapped | Rejected | RolledBack | Cancelled | DrainTimedOut


def cause_of(error: Exception) -> str:
    """An error as part of a reason. Our own say it all; others need their type (``KeyError('x')`` reads as ``'x'``)."""
    return str(error) if isinstance(error, EdgeAutoGLMError) else f"{type(error).__name__}: {error}"
