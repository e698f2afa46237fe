"""How a search runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.metrics import Measure
from edge_autoglm.evolve.splits import Shares
from edge_autoglm.prompts.rewrite import Language

Strategy = Literal["beam", "greedy", "random"]
STRATEGIES: tuple[Strategy, ...] = ("beam", "greedy", "random")


@dataclass(frozen=True, slots=True)
class EvolveSettings:
    """Settings of a search; equal ones on equal examples and the same model give the same result.

    Attributes:
        strategy: ``beam`` rewrites the best few again and again; ``greedy`` the best one; ``random`` draws rewrites at
            random and scores each on everything, to compare with.
        metric: Name, or a function of the app's own; ``None`` takes accuracy, or token F1 for generated text.
        budget: Prompts that may be scored in all, the test's included.
        keep: New variants in the result, at most.
        beam: Candidates that go on from one generation to the next, where the strategy is ``beam``.
        children: Rewrites that a generation tries.
        first_look: Examples that a rewrite is scored on at least before it may be dropped.
        shares: Of train, validation and test.
        language: Of the phrases that operators put in.
        seed: Of the split and of every draw.
    """

    strategy: Strategy = "beam"
    metric: str | Measure | None = None
    budget: int = 6000
    keep: int = 3
    beam: int = 4
    children: int = 16
    first_look: int = 10
    shares: Shares = field(default_factory=Shares)
    language: Language = "en"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise EvolveError(f"there is no strategy {self.strategy!r}", f"Name one of {', '.join(STRATEGIES)}.")
        for name in ("budget", "keep", "beam", "children", "first_look"):
            if getattr(self, name) < 1:
                raise EvolveError(f"EvolveSettings.{name} is {getattr(self, name)}", "Give 1 or more.")

    @property
    def width(self) -> int:
        """Candidates that go on from one generation to the next."""
        return self.beam if self.strategy == "beam" else 1
