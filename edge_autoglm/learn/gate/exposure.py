"""Whose request it was."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import PolicyError


@dataclass(frozen=True, slots=True)
class Exposure:
    """How one request was shared between champion and challenger.

    Attributes:
        share: Probability with which the challenger served it, in (0, 1), fixed before the draw.
        challenger: 1.0 if it did, 0.0 if the champion did; between where both might have given the same answer.

    Raises:
        PolicyError: A value is out of range.

    >>> Exposure.served(challenger=True, share=0.2).weight
    5.0
    """

    share: float
    challenger: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise PolicyError(f"the challenger's share is {self.share!r}", "Give a number between 0 and 1.")
        if not 0.0 <= self.challenger <= 1.0:
            raise PolicyError(
                f"the challenger's part in a request is {self.challenger!r}", "Give a number from 0 to 1."
            )

    @classmethod
    def served(cls, challenger: bool, share: float) -> Exposure:
        """A request that one of the two served, drawn with the challenger's ``share``."""
        return cls(share, float(challenger))

    @classmethod
    def of_policies(cls, champion: float, challenger: float, share: float) -> Exposure:
        """A request that one of two frozen policies served; either might have chosen the same arm.

        Args:
            champion: The champion's propensity of the arm that was chosen.
            challenger: The challenger's propensity of it.
            share: Probability with which the challenger was to choose.

        Raises:
            PolicyError: Neither could have chosen the arm.
        """
        both = share * challenger + (1.0 - share) * champion
        if not both > 0.0:
            raise PolicyError("neither policy could have chosen the arm", "Give the propensities that were drawn from.")
        return cls(share, share * challenger / both)

    @property
    def weight(self) -> float:
        """Of the request's outcome in the difference of means: its mean is 0, whatever the request."""
        return self.challenger / self.share - (1.0 - self.challenger) / (1.0 - self.share)
