"""The proof as it is kept in a bundle's manifest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from edge_autoglm.errors import DamagedBundle
from edge_autoglm.export.proof.budgets import MORE_DEGENERATE

_VERDICT = "within_budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the exporter measured, and how far it was allowed to go.

    Attributes:
        precision: Of the engine.
        reference: What it was compared with: ``fp32``, or ``itself`` for an fp32 engine at its own export.
        text_sha256: Of the held-out text, UTF-8.
        windows: Pieces of it that were predicted.
        window_tokens: Tokens of each.
        predicted_tokens: In all windows together.
        reference_perplexity: Of the original.
        perplexity: Of the engine.
        kl: Mean ``KL(original || engine)`` a token, in nats.
        top1: Share of tokens for which both find the same token most probable.
        generations: Greedy answers.
        new_tokens: Longest answer.
        identical_generations: Answers that are the same token for token.
        common_prefix: Mean number of leading tokens that are the same.
        reference_degenerate: Answers of the original that are empty or end in a loop.
        degenerate: Likewise, of the engine.
        max_kl: The limit that applied.
        max_perplexity_increase: Likewise; ``None`` for none.
    """

    precision: str
    reference: str
    text_sha256: str
    windows: int
    window_tokens: int
    predicted_tokens: int
    reference_perplexity: float
    perplexity: float
    kl: float
    top1: float
    generations: int
    new_tokens: int
    identical_generations: int
    common_prefix: float
    reference_degenerate: int
    degenerate: int
    max_kl: float
    max_perplexity_increase: float | None

    @property
    def perplexity_change(self) -> float:
        """Relative to the original."""
        return self.perplexity / self.reference_perplexity - 1

    @property
    def max_degenerate(self) -> int:
        """Answers that may be empty or end in a loop."""
        return self.reference_degenerate + int(MORE_DEGENERATE * self.generations)

    @property
    def within_budget(self) -> bool:
        """Whether every limit was kept; a bundle that was exported by force may say no."""
        return not self.excesses()

    def excesses(self) -> list[str]:
        """Every limit that was exceeded: figure and limit."""
        found = []
        if self.kl > self.max_kl:
            found.append(f"KL {self.kl:.3g} nats a token (limit {self.max_kl:g})")
        limit = self.max_perplexity_increase
        if limit is not None and self.perplexity_change > limit:
            found.append(f"perplexity {self.perplexity_change:+.2%} (limit {limit:+.2%})")
        if self.degenerate > self.max_degenerate:
            found.append(
                f"{self.degenerate} of {self.generations} answers empty or looping (limit {self.max_degenerate})"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """The manifest's ``verification``: the fields, and whether every limit was kept."""
        return {**dataclasses.asdict(self), _VERDICT: self.within_budget}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Proof | None:
        """Read what `to_json` made; ``None`` for a bundle that was exported without proof.

        Raises:
            DamagedBundle: A field is missing, unknown or of another type.
        """
        if not content:
            return None
        fields = {name: value for name, value in content.items() if name != _VERDICT}
        hints = get_type_hints(cls)
        for name in sorted(hints.keys() ^ fields.keys()):
            raise _damaged(f"verification.{name} is {'missing' if name in hints else 'unknown'}")
        for name, value in fields.items():
            if type(value) not in (get_args(hints[name]) or (hints[name],)):
                raise _damaged(f"verification.{name} is of type {type(value).__name__}")
        return cls(**fields)


def _damaged(cause: str) -> DamagedBundle:
    return DamagedBundle(f"the manifest's field {cause}", "Export the model again.")
