"""Settings of a remembered conversation."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import RequestError

_KEPT_AFTER = 0.6
"""Share of the budget that is left filled once turns were folded: the next ones then go on from held KV for a while."""


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How a conversation is kept within bounds.

    Attributes:
        budget_tokens: Of the prompt, chat markers included; ``None`` takes what a KV slot leaves beside the answer.
        summaries: Whether the model sums up turns that leave the prompt; else they are just left out.
        summary_tokens: Length of a summary.
        keep_turns: Turns that stay as they were said, where they fit: the last ones.
        facts: How many long-term facts are shown with a text of the user's; 0 for none.
    """

    budget_tokens: int | None = None
    summaries: bool = True
    summary_tokens: int = 96
    keep_turns: int = 2
    facts: int = 2

    def __post_init__(self) -> None:
        for name, least in (("budget_tokens", 16), ("summary_tokens", 1), ("keep_turns", 0), ("facts", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise RequestError(f"{name} of a conversation is {value}", f"Give {least} or more.")

    def target(self, budget: int) -> int:
        """Tokens to which a prompt that is over its budget is shortened."""
        return int(_KEPT_AFTER * budget)
