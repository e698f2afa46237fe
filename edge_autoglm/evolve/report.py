"""What a search reports: figures with intervals, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_autoglm.evolve.contributions import Contribution
from edge_autoglm.evolve.intervals import Bounds
from edge_autoglm.evolve.search import Generation

Origin = Literal["plain", "hand-written", "evolved"]


@dataclass(frozen=True, slots=True)
class Figures:
    """A variant on one set of examples.

    Attributes:
        value: Of the metric.
        over_plain: How much better than the variant ``plain`` on the same examples; ``None`` for that one itself.
        over_hand_written: How much better than the best hand-written variant.
    """

    value: Bounds
    over_plain: Bounds | None
    over_hand_written: Bounds | None


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant of the result that was measured.

    Attributes:
        name: In the new prompt set.
        origin: Who wrote it.
        validation: On the examples that it was chosen by; a search makes these look better than they are.
        test: On examples that nothing was chosen by; ``None`` if there are none.
        prompt_tokens: Mean length of its prompts.
        static_tokens: Of them, those that stay resident, and cost a request nothing.
        made_by: Steps by which it came to be.
    """

    name: str
    origin: Origin
    validation: Figures
    test: Figures | None
    prompt_tokens: float
    static_tokens: int
    made_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvolveReport:
    """Everything that a search found out.

    Attributes:
        task: Its name.
        model: Fingerprint of the model.
        metric: Name.
        settings: Of the search.
        examples: How many were for what, and how many were left out.
        calls: Scored prompts: of the search, in all, and the budget.
        candidates: Drafts that were scored.
        variants: Plain, the best hand-written one, and what was found; the best first.
        hand_written: Name of the best hand-written variant, chosen on the validation.
        generations: The course of the search.
        operators: What each brought.
        unusable: Why drafts could not be asked.
    """

    task: str
    model: str
    metric: str
    settings: Mapping[str, Any]
    examples: Mapping[str, int]
    calls: Mapping[str, int]
    candidates: int
    variants: tuple[VariantReport, ...]
    hand_written: str
    generations: tuple[Generation, ...]
    operators: tuple[Contribution, ...]
    unusable: tuple[str, ...]

    @property
    def found(self) -> Sequence[VariantReport]:
        """The evolved variants, the best first."""
        return [variant for variant in self.variants if variant.origin == "evolved"]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)
