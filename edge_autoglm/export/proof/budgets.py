"""How far an engine may be from the original, for each precision."""

from __future__ import annotations

from dataclasses import dataclass

MORE_DEGENERATE = 0.2
"""Share of the answers that may be empty or end in a loop, beyond those of the original. Rounding tips an answer or two
into a loop and others out of it; an engine that is broken loops nearly everywhere."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits.

    Attributes:
        max_kl: Mean ``KL(original || engine)`` a token, in nats.
        max_perplexity_increase: Relative to the original; ``None`` for no limit.
    """

    max_kl: float
    max_perplexity_increase: float | None


BUDGETS = {
    # The same graph: what is left is another order of summation.
    "fp32": Budget(max_kl=1e-6, max_perplexity_increase=1e-4),
    # Weights with 11 significant bits.
    "fp16": Budget(max_kl=1e-3, max_perplexity_increase=2e-3),
    # 8-bit blocks, measured at 0.005 on the smallest model: twice that says that something is wrong.
    "int8": Budget(max_kl=0.01, max_perplexity_increase=0.01),
    # 8-bit activations as well: 0.013 with smoothing, 0.035 without. The limit tells the two apart.
    "w8a8": Budget(max_kl=0.03, max_perplexity_increase=0.03),
    # Half of what 4-bit rounding to nearest costs on the smallest model (0.33 to 0.44, +22 % and more).
    "int4": Budget(max_kl=0.2, max_perplexity_increase=0.15),
    # The user's own choice (`max_kl`); this is the KL of llama.cpp's Q4_K_M on the smallest model.
    "auto": Budget(max_kl=0.06, max_perplexity_increase=None),
}


def budget_of(precision: str, max_kl: float | None) -> Budget:
    """The budget of a precision; ``max_kl`` takes the place of both of its limits."""
    return BUDGETS[precision] if max_kl is None else Budget(max_kl, None)
