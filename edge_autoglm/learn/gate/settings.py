"""What an app decides about its gate."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.guardrails import Guardrail


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Settings of the gate.

    Attributes:
        alpha: Probability that any challenger that is no better is ever promoted, all challengers together; likewise,
            for one promotion, that a better one is demoted.
        share: The smallest probability with which either side is served during a trial: the canary's.
        holdback: The share of requests that the old champion keeps after a promotion.
        max_feedbacks: A challenger that has not shown a gain after so many is rejected.
        window: After so many feedbacks the holdback begins afresh, so that what was long ago hides no change.
        guardrails: What a challenger must not spoil; each with a name of its own.

    Raises:
        PolicyError: A value is out of range.
    """

    alpha: float = 0.05
    share: float = 0.2
    holdback: float = 0.1
    max_feedbacks: int = 5000
    window: int = 2000
    guardrails: tuple[Guardrail, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise PolicyError(f"the gate's alpha is {self.alpha!r}", "Give a number between 0 and 1, such as 0.05.")
        for name in ("share", "holdback"):
            if not 0.0 < getattr(self, name) <= 0.5:
                raise PolicyError(
                    f"the gate's {name} is {getattr(self, name)!r}", "Give a number above 0 and at most 0.5."
                )
        for name in ("max_feedbacks", "window"):
            if getattr(self, name) < 1:
                raise PolicyError(f"the gate's {name} is {getattr(self, name)!r}", "Give at least 1.")
        if len({guardrail.name for guardrail in self.guardrails}) != len(self.guardrails):
            raise PolicyError("two guardrails have one name", "Give each a name of its own.")
