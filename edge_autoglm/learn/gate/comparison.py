"""Rewards and guardrails of two sides: what a trial and a holdback have in common."""

from __future__ import annotations

from collections.abc import Mapping

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.difference import Difference
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.guardrails import Guardrail, GuardrailReading, GuardrailWatch, Standing
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.rewards import checked_reward


class Comparison:
    """Gathers evidence on two sides. Not thread-safe.

    Args:
        share: The smallest probability with which either side is served.
        guardrails: What to watch besides the reward.
        alpha_within: Probability of calling a challenger fit that is worse than a given guardrail's margin.
        alpha_worse: Probability of calling one worse than any guardrail's margin that is within them all.
    """

    def __init__(
        self, share: float, guardrails: tuple[Guardrail, ...], alpha_within: float, alpha_worse: float
    ) -> None:
        self.gain = Difference(share)
        self._watches = {
            guardrail.name: GuardrailWatch(guardrail, share, alpha_within, alpha_worse / len(guardrails))
            for guardrail in guardrails
        }

    def feedback(self, exposure: Exposure, reward: float) -> None:
        """Take in a reward.

        Raises:
            InvalidReward: It is not a number in 0..1.
            PolicyError: The exposure is out of range.
        """
        self.gain.observe(exposure, checked_reward(reward))

    def measured(self, exposure: Exposure, readings: Mapping[str, float]) -> None:
        """Take in what was measured of a request: guardrail's name -> reading, for those that were measured.

        Raises:
            PolicyError: There is no such guardrail, or a value is out of range; nothing of the request is taken in.
        """
        unknown = sorted(set(readings) - set(self._watches))
        if unknown:
            raise PolicyError(
                f"there is no guardrail {unknown[0]!r}",
                f"Name one of {', '.join(self._watches) or 'none: none is set'}.",
            )
        for name, reading in readings.items():
            self._watches[name].guardrail.scaled(reading)
        for name, reading in readings.items():
            self._watches[name].observe(exposure, reading)

    def standing(self, standing: Standing) -> list[str]:
        """Names of the guardrails that stand so."""
        return [name for name, watch in self._watches.items() if watch.standing is standing]

    def readings(self) -> tuple[GuardrailReading, ...]:
        """All guardrails as they stand."""
        return tuple(watch.reading() for watch in self._watches.values())

    def state(self) -> ModelState:
        """All that was observed."""
        parts = {"gain": self.gain.state()} | {
            f"guardrail {name}": watch.state() for name, watch in self._watches.items()
        }
        facts = {part: dict(state.facts) for part, state in parts.items()}
        arrays = {f"{part}/{name}": array for part, state in parts.items() for name, array in state.arrays.items()}
        return ModelState(facts, arrays)

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave.

        Raises:
            PolicyError: It is of other settings.
        """
        parts = {"gain": self.gain} | {f"guardrail {name}": watch for name, watch in self._watches.items()}
        if set(parts) != set(state.facts):
            raise PolicyError(
                "the state is of a gate with other guardrails", "Restore it with the settings it was made with."
            )
        for part, owner in parts.items():
            arrays = {name: state.arrays[f"{part}/{name}"] for name in ("above", "below")}
            owner.restore(ModelState(state.facts[part], arrays))
