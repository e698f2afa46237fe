"""An experiment, as the app or its file describes it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge_autoglm.errors import ExperimentError

_LEAST_SHARE = 1e-6
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A comparison of variants of one task.

    Attributes:
        name: Names it in results; also the salt of its draws.
        task: Whose requests take part.
        variants: Of the task, two or more. The others are compared with the first one.
        weights: How often each is drawn, in any unit; ``None`` draws all alike.
        rollout: Share of sessions, or of requests without one, that take part, 0..1. Raising it keeps all who are in.
        enabled: Whether it runs.
        version: Raise it to draw all sessions afresh and to begin new results.
        start: It does not run before; ``None`` for no limit. With a time zone.
        end: It does not run from then on.

    Raises:
        ExperimentError: A value is out of range.

    >>> Experiment("politer", "reply", ("plain", "polite"), weights=(3, 1)).shares
    (0.75, 0.25)
    """

    name: str
    task: str
    variants: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    rollout: float = 1.0
    enabled: bool = True
    version: int = 1
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        variants: object = self.variants
        if isinstance(variants, str):  # which would be taken for its letters
            raise self._wrong(f"its variants are the text {variants!r}", "Give a tuple of names.")
        object.__setattr__(self, "variants", tuple(self.variants))
        object.__setattr__(self, "weights", None if self.weights is None else tuple(self.weights))
        if not _NAME.fullmatch(self.name):
            raise ExperimentError(
                f"{self.name!r} cannot name an experiment", "Use up to 64 letters, digits, dots, _ and -."
            )
        self._check_variants()
        # NaN fails every comparison.
        if not 0.0 <= self.rollout <= 1.0:
            raise self._wrong(f"the rollout is {self.rollout!r}", "Give a share from 0 to 1, such as 0.2.")
        if self.version < 1:
            raise self._wrong(f"the version is {self.version!r}", "Count versions from 1.")
        for name in ("start", "end"):
            time = getattr(self, name)
            if time is not None and time.utcoffset() is None:
                raise self._wrong(f"the {name} {time} has no time zone", "Add one, such as +00:00.")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise self._wrong(f"the end {self.end} is not after the start", "Correct one of the two.")

    @property
    def shares(self) -> tuple[float, ...]:
        """Probability of each variant; they sum to 1."""
        weights = self.weights or (1.0,) * len(self.variants)
        return tuple(weight / sum(weights) for weight in weights)

    def runs(self, now: datetime) -> bool:
        """Whether requests take part at a moment."""
        begun = self.start is None or self.start <= now
        return self.enabled and begun and (self.end is None or now < self.end)

    def propensities(self, arms: Sequence[str]) -> tuple[float, ...]:
        """Probability of each of a task's variants, in their order; 0 for those that are not compared."""
        shares = dict(zip(self.variants, self.shares, strict=True))
        return tuple(shares.get(arm, 0.0) for arm in arms)

    def _check_variants(self) -> None:
        if len(self.variants) < 2:
            raise self._wrong(f"it has {len(self.variants)} variants", "Name two or more.")
        if len(set(self.variants)) != len(self.variants):
            raise self._wrong("it names a variant twice", "Name each once; give it a weight to draw it more often.")
        if self.weights is None:
            return
        if len(self.weights) != len(self.variants):
            counts = f"{len(self.weights)} weights for {len(self.variants)} variants"
            raise self._wrong(f"it has {counts}", "Give each a weight, or none.")
        if not all(0.0 < weight < math.inf for weight in self.weights):
            raise self._wrong(f"its weights are {list(self.weights)}", "Give numbers above 0; leave a variant out.")
        if min(self.shares) < _LEAST_SHARE:
            cure = f"Give each at least {_LEAST_SHARE:g} of their sum, or leave a variant out."
            raise self._wrong(f"its weights {list(self.weights)} leave a variant hardly any share", cure)

    def _wrong(self, problem: str, cure: str) -> ExperimentError:
        return ExperimentError(f"experiment {self.name}: {problem}", cure)
